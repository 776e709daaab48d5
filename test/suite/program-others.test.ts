/**
 * Other people's programs on a volume, by the interface of `fs.promises` alone: isomorphic-git, with
 * git itself on the other side of the wire and as the judge, and tar-stream.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import git from 'isomorphic-git';
import http from 'isomorphic-git/http/node';
import tar from 'tar-stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { check, format, openVolume, type ProgramVolume } from '../../src/quarryfs.ts';
import { isMissing } from '../missing.ts';

const bytes = new Uint8Array(64 * 2 ** 20);
const folder = mkdtempSync(join(tmpdir(), 'quarry-others-'));
const author = { name: 'A Tester', email: 'tester@example.org' };
let volume: ProgramVolume;

beforeAll(async () => {
  await format(bytes);
  volume = await openVolume(bytes);
});

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await volume.close();
  expect(await check(bytes)).toMatchObject({ clean: true, state: 'clean' });
});

function realGit(...words: string[]): string {
  const identity = ['-c', 'user.name=A Tester', '-c', 'user.email=tester@example.org'];
  return execFileSync('git', [...identity, ...words], { cwd: folder, encoding: 'utf8', stdio: 'pipe' });
}

/** git-http-backend(1) as a CGI program. */
function serveGit(request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? '/', 'http://localhost');
  const program = spawn('git', ['http-backend'], {
    env: {
      ...process.env,
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      REQUEST_METHOD: request.method ?? 'GET',
      PATH_INFO: pathname,
      QUERY_STRING: search.slice(1),
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    },
  });
  request.pipe(program.stdin);
  buffer(program.stdout).then((answer) => {
    const end = answer.indexOf('\r\n\r\n');
    for (const line of answer.subarray(0, end).toString().split('\r\n')) {
      const [name = '', value = ''] = line.split(': ');
      if (name === 'Status') response.statusCode = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.end(answer.subarray(end + 4));
  });
}

describe.skipIf(isMissing('git'))('isomorphic-git', () => {
  const fs = { promises: {} as ProgramVolume };
  let server: Server;

  beforeAll(async () => {
    fs.promises = volume;
    server = createServer(serveGit);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    realGit('init', '--bare', '-b', 'main', 'origin.git');
    realGit('-C', 'origin.git', 'config', 'http.receivepack', 'true');
    realGit('clone', 'origin.git', 'work');
    writeFileSync(join(folder, 'work/README'), 'made by git\n');
    realGit('-C', 'work', 'checkout', '-b', 'main');
    realGit('-C', 'work', 'add', '.');
    realGit('-C', 'work', 'commit', '-m', 'first');
    realGit('-C', 'work', 'push', 'origin', 'main');
  });

  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  test('clones, commits, branches, and pushes what git takes for sound', async () => {
    const dir = '/clone';
    const { port } = server.address() as AddressInfo;
    await git.clone({ fs, http, dir, url: `http://127.0.0.1:${port}/origin.git` });
    expect(await volume.readFile(`${dir}/README`, 'utf8')).toBe('made by git\n');
    await volume.mkdir(`${dir}/src/deep`, { recursive: true });
    for (let number = 0; number < 40; number++)
      await volume.writeFile(`${dir}/src/deep/${number}.txt`, `file ${number}\n`.repeat(number));
    await volume.symlink('README', `${dir}/link`);
    await volume.appendFile(`${dir}/README`, 'and changed\n');
    await git.add({ fs, dir, filepath: '.' });
    const commit = await git.commit({ fs, dir, author, message: 'second' });
    const changed = (await git.statusMatrix({ fs, dir })).filter(
      ([, ...states]) => states.join() !== '1,1,1',
    );
    expect(changed).toEqual([]);
    await git.branch({ fs, dir, ref: 'side', checkout: true });
    await volume.rm(`${dir}/src`, { recursive: true });
    await volume.unlink(`${dir}/link`);
    await git.remove({ fs, dir, filepath: 'link' });
    await git.commit({ fs, dir, author, message: 'third' });
    await git.checkout({ fs, dir, ref: 'main', force: true });
    expect((await volume.readdir(`${dir}/src/deep`)).length).toBe(40);
    expect(await volume.readlink(`${dir}/link`)).toBe('README');
    expect((await git.log({ fs, dir })).map((one) => one.commit.message)).toEqual(['second\n', 'first\n']);
    await git.push({ fs, http, dir, remote: 'origin', ref: 'main' });
    realGit('-C', 'work', 'pull', 'origin', 'main');
    expect(realGit('-C', 'work', 'rev-parse', 'HEAD').trim()).toBe(commit);
    expect(realGit('-C', 'work', 'ls-files').trim().split('\n')).toHaveLength(42);
    realGit('-C', 'origin.git', 'fsck', '--strict');
  });
});

describe('tar-stream', () => {
  /** An archive of what is below a directory. */
  async function packed(path: string): Promise<Buffer> {
    const pack = tar.pack();
    const bytesOf = buffer(pack);
    for (const name of (await volume.readdir(path, { recursive: true })).sort()) {
      const found = await volume.lstat(`${path}/${name}`);
      const header = { name, mode: found.mode & 0o7777, mtime: found.mtime };
      if (found.isDirectory()) pack.entry({ ...header, type: 'directory' });
      else if (found.isSymbolicLink())
        pack.entry({ ...header, type: 'symlink', linkname: await volume.readlink(`${path}/${name}`) });
      else {
        const entry = pack.entry({ ...header, size: found.size });
        await pipeline(volume.createReadStream(`${path}/${name}`), entry);
      }
    }
    pack.finalize();
    return bytesOf;
  }

  async function extracted(archive: Buffer, path: string): Promise<void> {
    const extract = tar.extract();
    const reading = pipeline(Readable.from([archive]), extract);
    for await (const entry of extract) {
      const { name, type, mode, mtime, linkname } = entry.header;
      const place = `${path}/${name}`;
      if (type === 'directory') await volume.mkdir(place, { recursive: true });
      else if (type === 'symlink') await volume.symlink(linkname ?? '', place);
      else await pipeline(entry, volume.createWriteStream(place, { mode: mode ?? 0o644 }));
      if (mtime) await volume.lutimes(place, mtime, mtime);
      entry.resume();
    }
    await reading;
  }

  test('packs a tree and unpacks it, and the archives are equal', async () => {
    await volume.mkdir('/tree/a/b', { recursive: true });
    await volume.writeFile('/tree/a/script', '#!/bin/sh\n', { mode: 0o755 });
    await volume.writeFile('/tree/a/b/large', Buffer.alloc(700_001, 'tar '));
    await volume.writeFile('/tree/empty', '');
    await volume.symlink('a/script', '/tree/run');
    for (const name of ['a', 'a/b', 'a/script', 'a/b/large', 'empty', 'run'])
      await volume.lutimes(`/tree/${name}`, 1_000_000_000, 1_000_000_000);
    const archive = await packed('/tree');
    await volume.mkdir('/unpacked');
    await extracted(archive, '/unpacked');
    for (const name of ['a/b', 'a']) await volume.utimes(`/unpacked/${name}`, 1_000_000_000, 1_000_000_000);
    expect((await packed('/unpacked')).equals(archive)).toBe(true);
  });
});
