/**
 * What the mount table shows as the source of another user's mount is his word: root's commands
 * open nothing by it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeQuarry, isMountPoint, QUARRY, ROOT, run, Scratch, shellResult } from './harness.ts';

const LIMIT_MS = 20_000;
const OWNER = '65534';

describeQuarry("another user's mount", () => {
  let scratch: Scratch;
  let directory: string;
  /** Whoever looks up a name in it waits for ever. */
  let trap: string;
  let servers: ChildProcess[];
  beforeEach(async () => {
    scratch = new Scratch();
    directory = scratch.file('mnt');
    trap = scratch.file('trap');
    servers = [];
    await shellResult(`chmod 755 '${scratch.path}'`);
    mkdirSync(directory);
    mkdirSync(trap);
    (await serve(trap, '/dev/null')).kill('SIGSTOP');
  });
  afterEach(async () => {
    for (const server of servers) server.kill('SIGKILL');
    await shellResult(`umount -l '${directory}'; umount -l '${trap}'`);
    await scratch.remove();
  });

  async function serve(on: string, source: string): Promise<ChildProcess> {
    const child = spawn('python3', [join(ROOT, 'test/mount/hostile-server.py'), on, '{}'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, OWNER, SOURCE: source },
    });
    servers.push(child);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    return child;
  }

  test.each([
    ['that died', 'SIGKILL', []],
    ['that answers nothing', 'SIGSTOP', ['--force']],
  ] as const)('%s is taken away', async (_, signal, options) => {
    const server = await serve(directory, join(trap, 'device'));
    server.kill(signal);
    const ended = await run(process.execPath, [QUARRY, 'umount', ...options, directory], {
      limitMs: LIMIT_MS,
    });
    expect(ended.status, ended.stderr).toBe(0);
    expect(isMountPoint(directory)).toBe(false);
  });
});
