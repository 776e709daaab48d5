/**
 * The examples of docs/PROGRAM.md: the document shows the programs of examples/program as they are,
 * and they do what they say; its lines of a shell are run too. And it names all that there is.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { format, openVolume } from '../../src/quarryfs.ts';
import { commandsOf } from '../suite/documents.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDER = join(ROOT, 'examples/program');
const DOCUMENT = readFileSync(join(ROOT, 'docs/PROGRAM.md'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'quarry-examples-'));
const file = (name: string) => join(folder, name);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function run(name: string, ...words: string[]): Promise<string[]> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(FOLDER, name), ...words]);
  expect(stderr).toBe('');
  return stdout.trimEnd().split('\n');
}

test('the document shows every program of the folder, and no other', () => {
  const shown = [...DOCUMENT.matchAll(/^( *)```js\n *\/\/ examples\/program\/(\S+)\n([\s\S]*?)^ *```$/gm)];
  expect(shown.map(([, , name]) => name).sort()).toEqual(readdirSync(FOLDER).sort());
  for (const [, indent = '', name = '', text = ''] of shown) {
    const lines = text
      .split('\n')
      .map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line));
    expect(lines.join('\n'), name).toBe(readFileSync(join(FOLDER, name), 'utf8'));
  }
  expect(DOCUMENT.match(/^ *```js$/gm)).toHaveLength(shown.length);
});

test('the document names every option, and every function of a volume and a handle', async () => {
  const sources = ['src/program/open-program.ts', 'src/quarryfs.ts', 'src/program/stores/block-store.ts'];
  const declared = sources.map((name) => readFileSync(join(ROOT, name), 'utf8')).join('\n');
  for (const name of ['ProgramOptions', 'EngineOption', 'VolumeFormat', 'BlockStore']) {
    const body =
      new RegExp(`^export interface ${name}[^{]*\\{([\\s\\S]*?)^\\}`, 'm').exec(declared)?.[1] ?? '';
    const options = [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??[:(]/gm)].map(([, option]) => option);
    expect(options.length).toBeGreaterThan(0);
    for (const option of options) expect(DOCUMENT, `${name}.${option}`).toContain(`\`${option}\``);
  }
  const bytes = new Uint8Array(16 * 2 ** 20);
  await format(bytes);
  const volume = await openVolume(bytes);
  const functions = Object.getOwnPropertyNames(volume).filter((name) => name !== 'session');
  expect(functions.length).toBeGreaterThan(40);
  const missing = functions.filter(
    (name) => !new RegExp(`\`${name}[\`(]`).test(DOCUMENT) && !/^l?l\w+xattr$/.test(name),
  );
  expect(missing).toEqual([]);
  await volume.close();
});

describe('the examples', () => {
  test('first.js', async () => {
    const lines = await run('first.js', file('first.img'));
    expect(lines.splice(1, 4).sort()).toEqual([
      'directory / a',
      'directory /a b',
      'file /a hello.txt',
      'file /a link',
    ]);
    const error = "ENOENT: no such file or directory, open '/nothing'";
    expect(lines).toEqual(['HELLO, volume', error, 'sound']);
  });

  test('memory.js', async () => {
    expect(await run('memory.js', file('memory.img'))).toEqual(['made in memory', ' memory.js']);
  });

  test('own-device.js', async () => {
    expect(await run('own-device.js', file('chunks'))).toEqual(['5242880 bytes in 10240 sectors']);
    expect(readdirSync(file('chunks')).length).toBeLessThan(20);
  });
});

describe('static-server.js', () => {
  const content = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index & 0xff));
  let server: ChildProcess;
  let port: number;

  beforeAll(async () => {
    await format(file('site.img'), { size: 16 * 2 ** 20 });
    const volume = await openVolume(file('site.img'));
    await volume.writeFile('/index.html', '<h1>here</h1>');
    await volume.mkdir('/a');
    await volume.writeFile('/a/data b.bin', content);
    await volume.writeFile('/empty.txt', '');
    await volume.symlink('../../../etc/passwd', '/out');
    await volume.close();
    server = spawn(process.execPath, [join(FOLDER, 'static-server.js'), file('site.img'), '0']);
    const [said] = (await once(server.stdout ?? server, 'data')) as [Buffer];
    port = Number(/:(\d+)\/$/.exec(`${said}`.trim())?.[1]);
  });

  afterAll(() => {
    server.kill('SIGKILL');
  });

  /** The path goes out as it is: fetch would take '..' out of it. */
  async function ask(path: string, headers: Record<string, string> = {}, method = 'GET') {
    const asked = request({ host: '127.0.0.1', port, path, headers, method, agent: false }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk);
    return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
  }

  test('files and directories, whole and in part', async () => {
    const page = await ask('/');
    expect(page).toMatchObject({ status: 200, headers: { 'content-type': 'text/html; charset=utf-8' } });
    expect(`${page.body}`).toBe('<h1>here</h1>');
    const whole = await ask('/a/data%20b.bin');
    expect([whole.status, whole.body.equals(content)]).toEqual([200, true]);
    const part = await ask('/a/data%20b.bin', { range: 'bytes=70000-70009' });
    expect(part).toMatchObject({ status: 206, headers: { 'content-range': 'bytes 70000-70009/100000' } });
    expect(part.body.equals(content.subarray(70_000, 70_010))).toBe(true);
    const tail = await ask('/a/data%20b.bin', { range: 'bytes=-5' });
    expect(tail.body.equals(content.subarray(-5))).toBe(true);
    expect((await ask('/a/data%20b.bin', { range: 'bytes=100000-' })).status).toBe(416);
    const head = await ask('/a/data%20b.bin', {}, 'HEAD');
    expect(head).toMatchObject({ status: 200, headers: { 'content-length': '100000' } });
    expect(head.body).toHaveLength(0);
    expect(await ask('/empty.txt')).toMatchObject({ status: 200, headers: { 'content-length': '0' } });
    const etag = `${whole.headers.etag}`;
    expect((await ask('/a/data%20b.bin', { 'if-none-match': etag })).status).toBe(304);
  });

  test('and nothing else', async () => {
    for (const path of ['/nothing', '/a', '/out', '/../../etc/passwd', '/index.html/a'])
      expect([path, (await ask(path)).status]).toEqual([path, 404]);
    expect((await ask('/%ff')).status).toBe(400);
    expect((await ask('/index.html', {}, 'DELETE')).status).toBe(404);
    server.kill('SIGTERM');
    expect(await once(server, 'exit')).toEqual([0, null]);
  });
});

test('the lines of a shell', async () => {
  for (const name of ['v.img', 'w.img']) await format(file(name), { size: 16 * 2 ** 20 });
  const volume = await openVolume(file('v.img'));
  for (const name of ['/etc', '/var', '/a']) await volume.mkdir(name);
  await volume.writeFile('/etc/motd', 'hello\n');
  await volume.close();
  for (const name of ['tree', 'dir', 'backup']) mkdirSync(file(name));
  writeFileSync(file('tree/f'), 'f');
  const lines = commandsOf('docs/PROGRAM.md').map(({ text }) => text);
  expect(lines.length).toBeGreaterThan(10);
  const script = [
    'set -e',
    `quarry() { '${process.execPath}' '${ROOT}/dist/cli/main.js' "$@"; }`,
    ...lines,
  ].join('\n');
  const said = execFileSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8' });
  expect(said).toContain('hello\n');
  expect(readFileSync(file('backup/etc/motd'), 'utf8')).toBe('hello\n');
});
