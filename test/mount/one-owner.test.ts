/**
 * One volume, one owner: a target in use is refused by every other name of the same bytes, and by
 * no name that is only a name.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeQuarry, MIB, quarry, shell, shellResult, Volume } from './harness.ts';

describeQuarry('one volume, one owner', () => {
  let volume: Volume;
  let other: string;
  /** Loop devices of a test, the youngest first. */
  let loops: string[];

  beforeEach(async () => {
    loops = [];
    volume = await Volume.make({ sizeBytes: 32 * MIB }, { mounted: false });
    other = volume.scratch.file('other');
    await shell(`mkdir '${other}'`);
  });
  afterEach(async () => {
    await shellResult(`umount '${other}'; umount '${volume.directory}'`);
    for (const loop of loops) await shellResult(`losetup --detach '${loop}'`);
    await volume?.destroy();
  });

  async function loopOver(path: string, ...more: string[]): Promise<string> {
    const loop = (await shell(`losetup --find --show ${more.join(' ')} '${path}'`)).trim();
    loops.unshift(loop);
    return loop;
  }

  async function mount(target: string, directory: string, ...more: string[]): Promise<void> {
    expect(await quarry('mount', ...more, target, directory)).toMatchObject({ status: 0, stderr: '' });
  }

  const WRITERS = [
    (target: string) => ['mount', target, other],
    (target: string) => ['mkfs', '--force', target],
    (target: string) => ['fsck', '-y', target],
  ];
  const EVERYBODY = [
    ...WRITERS,
    (target: string) => ['mount', '-o', 'ro', target, other],
    (target: string) => ['mount', '--fake', target, other],
    (target: string) => ['fsck', '-n', target],
    (target: string) => ['io', '--write', '--force', '--rw', 'write', '--seconds', '1', target],
  ];

  /**
   * Commands that would write to the target, or read what changes meanwhile, end with one line that
   * names the mount.
   */
  async function expectInUse(target: string, commands = WRITERS): Promise<string> {
    let said = '';
    for (const args of commands.map((command) => command(target))) {
      const result = await quarry(...args);
      expect(result.status, args.join(' ')).toBeGreaterThan(0);
      expect(result.stderr, args.join(' ')).toMatch(/^quarry: [^\n]+\n$/);
      expect(result.stderr, args.join(' ')).toContain(volume.directory);
      said = result.stderr.trim();
    }
    return said.replaceAll(volume.scratch.path, '…');
  }

  /** The volume is as it was: nothing was written by the side. */
  async function expectSound(target: string): Promise<void> {
    expect(await quarry('umount', volume.directory)).toMatchObject({ status: 0, stderr: '' });
    expect(await quarry('fsck', '-n', target)).toMatchObject({ status: 0 });
  }

  test.each([{ options: [] }, { options: ['-o', 'ro'] }])(
    'an image is mounted, and a loop device made over it, $options',
    async ({ options }) => {
      await mount(volume.image, volume.directory, ...options);
      const loop = await loopOver(volume.image);
      await expectInUse(loop, options.length === 0 ? EVERYBODY : WRITERS);
      await expectInUse(await loopOver(loop), WRITERS.slice(0, 1));
      expect(await quarry('dump', loop, 'space')).toMatchObject({ status: 0 });
      expect(JSON.parse((await quarry('info', '--json', loop)).stdout).mountedOn).toBe(volume.directory);
      await expectSound(loop);
    },
  );

  test('a loop device is mounted: its file by any name, and other loop devices', async ({ annotate }) => {
    const loop = await loopOver(volume.image);
    const second = await loopOver(volume.image);
    const link = volume.scratch.file('link.img');
    await shell(`ln '${volume.image}' '${link}'`);
    await mount(loop, volume.directory);
    await volume.shell('echo kept > file');
    for (const target of [second, volume.image, link, await loopOver(loop)]) {
      const commands = WRITERS.filter((_, index) => target === second || index !== 1);
      await annotate(await expectInUse(target, commands));
    }
    const script = `mount --make-rprivate / && mkdir '${other}/bound' && mount --bind '${volume.scratch.path}' '${other}/bound'
      '${process.execPath}' dist/cli/main.js fsck -y '${other}/bound/volume.img'`;
    const bound = await shellResult(`unshare --mount bash -c "${script}"`);
    expect(bound).toMatchObject({ status: 8, stdout: '' });
    expect(bound.stderr).toContain(volume.directory);
    await volume.shell('test "$(cat file)" = kept');
    await expectSound(second);
    // And free at once, when umount(8) has returned.
    await mount(loop, volume.directory);
    await shell(`umount '${volume.directory}'`);
    expect(await quarry('mkfs', '--force', '--quiet', second)).toMatchObject({ status: 0, stderr: '' });
  });

  test('the file behind two loop devices has no name any more', async () => {
    const loop = await loopOver(volume.image);
    const second = await loopOver(volume.image);
    await shell(`rm '${volume.image}'`);
    await mount(loop, volume.directory);
    await expectInUse(second);
    await expectSound(second);
  });

  test('parts of one file are volumes of their own', async () => {
    await shell(`truncate -s 64M '${volume.image}'`);
    const range = (from: string, size: string) => ['--offset', from, '--sizelimit', size];
    const first = await loopOver(volume.image, ...range('1M', '24M'));
    const second = await loopOver(volume.image, ...range('25M', '24M'));
    const between = await loopOver(volume.image, ...range('20M', '24M'));
    for (const loop of [first, second]) {
      expect(await quarry('mkfs', '--force', loop)).toMatchObject({ status: 0 });
    }
    await mount(first, volume.directory);
    await mount(second, other);
    await volume.shell(`echo first > file && echo second > '${other}/file'`);
    for (const target of [between, volume.image]) {
      const refused = await quarry('mkfs', '--force', target);
      expect(refused).toMatchObject({ status: 1, stdout: '' });
      expect([volume.directory, other].some((directory) => refused.stderr.includes(directory))).toBe(true);
    }
    await volume.shell(`test "$(cat file)" = first && test "$(cat '${other}/file')" = second`);
    expect(await quarry('umount', other)).toMatchObject({ status: 0 });
    expect(await quarry('umount', volume.directory)).toMatchObject({ status: 0 });
  });

  test('an image behind a loop device on which the kernel has something else', async ({ skip }) => {
    const loop = await loopOver(volume.image);
    if ((await shellResult(`mkfs.ext4 -q -F '${loop}' && mount -t ext4 '${loop}' '${other}'`)).status !== 0) {
      skip('ext4 cannot be mounted here');
    }
    for (const target of [volume.image, await loopOver(volume.image)]) {
      const refused = await quarry('mkfs', '--force', target);
      expect(refused).toMatchObject({ status: 1, stdout: '' });
      expect(refused.stderr).toMatch(/^quarry: [^\n]+\n$/);
      expect(refused.stderr).toContain(other);
    }
  });

  test('a name is only a name: what was mounted from it is elsewhere, or never was there', async () => {
    await mount(volume.image, volume.directory);
    const moved = volume.scratch.file('moved.img');
    await shell(`mv '${volume.image}' '${moved}'`);
    expect(await quarry('mkfs', '--size', '32M', volume.image)).toMatchObject({ status: 0, stderr: '' });
    expect(await quarry('fsck', '-y', volume.image)).toMatchObject({ status: 0, stderr: '' });
    expect(JSON.parse((await quarry('info', '--json', volume.image)).stdout).mountedOn).toBe(undefined);
    await expectInUse(moved);
    expect(await quarry('umount', volume.image)).toMatchObject({ status: 1 });
    await mount(volume.image, other);
    expect(await quarry('stat', moved)).toMatchObject({ status: 0 });
    expect(await quarry('umount', volume.image)).toMatchObject({ status: 0, stderr: '' });
    expect(await quarry('umount', moved)).toMatchObject({ status: 0, stderr: '' });
    // A mount that says of itself that it is another image's.
    await mount(moved, volume.directory, '-o', `fsname=${volume.image}`);
    await mount(volume.image, other);
    expect(await quarry('umount', volume.image)).toMatchObject({ status: 0, stderr: '' });
    expect(await quarry('umount', volume.image)).toMatchObject({ status: 1 });
    expect(await quarry('umount', volume.directory)).toMatchObject({ status: 0, stderr: '' });
  });
});
