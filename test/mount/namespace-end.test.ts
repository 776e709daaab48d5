/** A mount whose namespace ends with its daemon, as when a container is stopped: nothing hangs, and the device is free. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeQuarry, MIB, QUARRY, quarry, shellResult, until, Volume } from './harness.ts';

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
    const number = Number(volume.target.replace('/dev/loop', '')) + 7 * 2 ** 20;
    const abort = `mount -t fusectl none /sys/fs/fuse/connections && echo 1 > /sys/fs/fuse/connections/${number}/abort`;
    await shellResult(`unshare --mount sh -c '${abort}'`);
    await volume.destroy();
  });

  test('SIGKILL for everything in it lets go of the block device', async () => {
    const script = `'${process.execPath}' '${QUARRY}' mount '${volume.target}' '${volume.directory}' && echo ready && sleep 100`;
    const child = spawn(
      'unshare',
      ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', script],
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
