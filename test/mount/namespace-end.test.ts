/**
 * A mount whose namespace ends with its daemon, as when a container is stopped: nothing hangs, and
 * the device is free.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  abortConnection,
  describeQuarry,
  MIB,
  namespaceArguments,
  QUARRY,
  quarry,
  ROOT,
  shell,
  until,
  Volume,
} from './harness.ts';

/** Numbers of the processes that have `word` in their command line. */
function processesWith(word: string): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(word);
    } catch {
      return false;
    }
  });
}

describeQuarry('the end of a mount namespace', () => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB }, { mounted: false });
  });
  afterEach(async () => {
    // A daemon that waits for itself in the kernel: only its connection can be ended.
    await abortConnection(volume.target.replace('/dev/loop', '7:'));
    await volume.destroy();
  });

  test('a server that waits for itself in the kernel is ended by force, one that lives is not', async () => {
    const program = join(ROOT, 'test/mount/hostile-server.py');
    const script = `echo $$; DEVICE='${volume.target}' exec python3 '${program}' '${volume.directory}' '{}'`;
    const child = spawn('unshare', namespaceArguments(script), { stdio: ['ignore', 'pipe', 'ignore'] });
    const said = new Promise<string>((resolve) => {
      let text = '';
      child.stdout.on('data', (chunk) => {
        text += chunk;
        if (text.includes('ready')) resolve(text);
      });
    });
    expect(await said).toContain(`${child.pid}\n`);
    const living = await quarry('umount', '--force', volume.target);
    expect(living).toMatchObject({ status: 1 });
    expect(living.stderr).toContain(`by process ${child.pid}`);
    child.kill('SIGKILL');
    await until('the server to wait for itself', 5000, async () => {
      return (await shell(`cat /proc/${child.pid}/stack 2> /dev/null || true`)).includes('fuse_send_destroy');
    });
    expect(await quarry('fsck', '-p', volume.target)).toMatchObject({ status: 8 });
    const forced = await quarry('umount', '--force', volume.target);
    expect(forced).toMatchObject({ status: 0 });
    expect(forced.stderr).toMatch(/^quarry: [^\n]* the FUSE connection that held it is ended[^\n]*\n$/);
    await until('the end of the server', 5000, () => child.signalCode !== null);
    expect(await quarry('fsck', '-p', volume.target)).toMatchObject({ status: 0 });
    expect(await quarry('umount', '--force', volume.target)).toMatchObject({ status: 1 });
  });

  test('SIGKILL for everything in it lets go of the block device', async () => {
    const script = `'${process.execPath}' '${QUARRY}' mount '${volume.target}' '${volume.directory}' && echo ready && sleep 100`;
    const child = spawn(
      'unshare',
      ['--pid', '--fork', '--kill-child', '--mount-proc', ...namespaceArguments(script)],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    try {
      await new Promise((resolve) => child.stdout?.once('data', resolve));
      expect(processesWith(volume.directory).length).toBeGreaterThan(1);
    } finally {
      child.kill('SIGKILL');
    }
    await until('the end of all', 5000, () => processesWith(volume.directory).length === 0);
    // Whoever waits in exit(2) has no command line any more, but holds the device.
    await until('the device to be free', 5000, async () => {
      return (await quarry('fsck', '-p', volume.target)).status === 0;
    });
    expect(await quarry('mount', volume.target, volume.directory)).toMatchObject({ status: 0 });
    await volume.unmountAndCheck();
  });
});
