/** The status of a process whose parent never asks for it. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { statusOfZombie } from '../../src/cli/processes.ts';

const parents: ChildProcess[] = [];
afterEach(() => {
  for (const parent of parents.splice(0)) parent.kill('SIGKILL');
});

/** A child that ends by itself, of a parent that has become a program that waits for nobody. */
async function zombie(program: string): Promise<number> {
  const parent = spawn('sh', ['-c', `(sleep 0.2; ${program}) & echo $!; exec sleep 60`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  parents.push(parent);
  const [line] = (await parent.stdout?.[Symbol.asyncIterator]().next())?.value.toString().split('\n') ?? [];
  return Number(line);
}

async function statusOf(pid: number): Promise<number | undefined> {
  for (let look = 0; look < 400; look++) {
    const status = statusOfZombie(pid);
    if (status !== undefined) return status;
    await sleep(5);
  }
  return undefined;
}

test('an exit status', async () => expect(await statusOf(await zombie('exit 3'))).toBe(3 << 8));
test('a clean end', async () => expect(await statusOf(await zombie('exit 0'))).toBe(0));
test('a signal', async () =>
  expect(await statusOf(await zombie('kill -9 $(exec sh -c "echo \\$PPID")'))).toBe(9));

test('none of one that runs, or is not there', () => {
  expect(statusOfZombie(process.pid)).toBeUndefined();
  expect(statusOfZombie(2 ** 22 + 1)).toBeUndefined();
});

test.runIf(process.getuid?.() === 0)('none where the kernel shows 0 to us, whatever our number', async () => {
  const pid = await zombie('exec setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "exit 3"');
  expect(await statusOf(pid)).toBe(3 << 8);
  const module = new URL('../../dist/cli/processes.js', import.meta.url);
  const ask = `import(${JSON.stringify(String(module))}).then((m) => console.log(m.statusOfZombie(${pid})))`;
  const bounded = ['--bounding-set', '-all', '--inh-caps', '-all'];
  const node = [process.execPath, '-e', ask];
  expect(execFileSync('setpriv', [...bounded, ...node], { encoding: 'utf8' })).toBe('undefined\n');
});
