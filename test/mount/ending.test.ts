/**
 * The end of a mount while the device is slow or fails: signals, however many, lose nothing; what
 * could not be written is said.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FaultDisk, volumeOnFaultDisk } from './fault-disk.ts';
import { describeQuarry, isMountPoint, quarry, shell, type Volume } from './harness.ts';

const FILL = `
import os
for i in range(400):
    with open('file-%d' % i, 'wb') as file: file.write(b'%d ' % i * (1 + i * 7 % 5000))
os.mkdir('folder')
`;
const LOOK = `
import os
assert sorted(os.listdir('.')) == sorted(['file-%d' % i for i in range(400)] + ['folder'])
for i in range(400):
    assert open('file-%d' % i, 'rb').read() == b'%d ' % i * (1 + i * 7 % 5000), i
`;

describeQuarry('on a disk of moods', () => {
  let volume: Volume;
  let disk: FaultDisk;
  beforeEach(async () => {
    ({ volume, disk } = await volumeOnFaultDisk());
  });
  afterEach(async () => {
    await disk?.say('mend').catch(() => {});
    await disk?.say('slow 0').catch(() => {});
    await volume?.destroy();
    await disk?.end();
  });

  const failure = async () => {
    const { stdout } = await quarry('stat', '--json', volume.directory);
    return JSON.parse(stdout).failure as string | undefined;
  };

  test.each([[['SIGTERM', 'SIGTERM', 'SIGTERM']], [['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGINT']]] as const)(
    '%j while the commit takes long: everything is there',
    async (signals) => {
      await volume.mount('-o', 'commit=3600');
      await volume.python(FILL);
      await disk.say('slow 400');
      const begun = Date.now();
      for (const signal of signals) {
        // To its group, as a terminal and scripts do it: whoever unmounts for it is not disturbed.
        for (let times = 0; times < 30; times++) {
          process.kill(-Number(volume.daemon?.pid), signal);
          await sleep(1);
        }
      }
      // And again in the middle of the last commit.
      await sleep(400);
      if (volume.daemon?.exitCode === null) volume.daemon.kill('SIGTERM');
      expect(await volume.daemonEnd()).toBe(0);
      expect(Date.now() - begun).toBeGreaterThan(1000);
      expect(isMountPoint(volume.directory)).toBe(false);
      await disk.say('slow 0');
      expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
      await volume.mount();
      expect(volume.daemonSaid).not.toContain('not unmounted in order');
      await volume.python(LOOK);
      await volume.unmountAndCheck();
    },
  );

  test('umount returns when a slow disk has everything', async () => {
    await volume.mount('-o', 'commit=3600');
    await volume.python(FILL);
    await disk.say('slow 300');
    // It may say that it waits, and nothing else.
    expect(await quarry('umount', volume.directory)).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/^(quarry: [^\n]* is being written by its daemon [^\n]*\n)?$/),
    });
    // Whatever was not flushed by now is lost.
    expect(await disk.say('cut 4')).toMatchObject({ lost: 0 });
    await disk.say('mend');
    await disk.say('slow 0');
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
    await volume.mount();
    await volume.python(LOOK);
    await volume.unmountAndCheck();
  });

  test.each(['writes', 'flushes'])(
    '%s fail: read-only for good, said everywhere; what was durable stays',
    async (what) => {
      await volume.mount();
      await volume.shell('for i in {1..50}; do echo "content $i" > kept-$i; done; sync -f .');
      expect(await failure()).toBeUndefined();
      await disk.say(`fail ${what}`);
      const failed = await volume.shellResult('echo lost > lost; sync lost');
      expect(failed.status).not.toBe(0);
      expect(failed.stderr).toMatch(/Input\/output error/);

      // Sticky: also when the device works again.
      await disk.say('mend');
      expect((await volume.shellResult('echo x > another')).stderr).toContain('Read-only file system');
      expect((await volume.shellResult('mkdir folder')).stderr).toContain('Read-only file system');
      expect((await volume.shellResult('sync kept-1')).status).not.toBe(0);
      expect(await failure()).toMatch(/./);
      expect((await quarry('stat', volume.directory)).stdout).toMatch(
        /^failure: +writing to the device failed/m,
      );
      expect(volume.daemonSaid).toMatch(/writing to the device failed/);
      // Reads go on, from the device as well.
      await volume.shell(
        'for i in {1..50}; do test "$(cat kept-$i)" = "content $i"; done; ls -l > /dev/null',
      );

      const ended = await quarry('umount', volume.directory);
      expect(ended.status).not.toBe(0);
      expect(ended.stderr).toMatch(/^quarry: [^\n]* could not be written [^\n]*\n$/);
      expect(await volume.daemonEnd()).toBe(1);
      await volume.mount();
      expect(volume.daemonSaid).toMatch(/not unmounted in order/);
      await volume.shell('for i in {1..50}; do test "$(cat kept-$i)" = "content $i"; done; echo works > new');
      await volume.unmountAndCheck();
    },
  );

  test('a disk that lost its power after a sync has what was synced', async () => {
    await volume.mount('-o', 'commit=3600');
    await volume.python(FILL);
    await volume.shell('sync file-399 && rm file-7 && mv file-8 file-9 && echo more >> file-10');
    // The commit of file-399 took all names along; the data of the others had left the page cache
    // when they were closed.
    await disk.say('cut 9');
    volume.daemon?.kill('SIGKILL');
    await volume.daemonEnd();
    await disk.say('mend');
    await shell(`'${process.execPath}' dist/cli/main.js umount '${volume.directory}' 2> /dev/null`);
    await volume.mount();
    expect(volume.daemonSaid).toMatch(/not unmounted in order/);
    await volume.python(LOOK);
    await volume.unmountAndCheck();
  });
});
