/**
 * A mount that becomes read-only, by quarry or by mount(8), leaves a clean volume; writable again,
 * it takes the first write.
 */
import { afterEach, expect, test } from 'vitest';
import { describeQuarry, MIB, QUARRY, quarry, shell, shellResult, until, Volume } from './harness.ts';

let volume: Volume | undefined;
afterEach(() => volume?.destroy());

async function state(target: string): Promise<string> {
  const { stdout } = await quarry('info', '--json', target);
  return String(JSON.parse(stdout).state);
}

async function remount(options: string, directory: string): Promise<string> {
  const { status, stderr } = await quarry('mount', '-o', `remount,${options}`, directory);
  return status === 0 ? '' : stderr;
}

/** Who asked a moment ago may still hold the mount. */
async function endSound(made: Volume): Promise<void> {
  await until('an unmount', 60_000, async () => (await quarry('umount', made.directory)).status === 0);
  await made.daemonEnd();
  expect(await quarry('fsck', '-n', made.target)).toMatchObject({ status: 0 });
}

/** On a device that takes no changes; blockdev --setro would outlive the loop device. */
async function endProtected(made: Volume): Promise<void> {
  const device = (await shell(`losetup --read-only --find --show '${made.image}'`)).trim();
  try {
    const { status, stderr } = await quarry('mount', device, made.directory);
    expect([status, stderr]).toEqual([0, `quarry: mounted read-only: ${device} is write-protected\n`]);
    expect(await remount('rw', made.directory)).toMatch(/^quarry: .* stays read-only: .*\n$/);
    expect(await made.shell('cat file')).toBe('text\nmore\n');
  } finally {
    await shellResult(`umount '${made.directory}'; losetup --detach '${device}'`);
  }
}

describeQuarry.each(['loop', 'image'] as const)('remount on a volume in a %s', (kind) => {
  test('by quarry: clean when the command ends, and in use again with the first write', async () => {
    const made = await Volume.make({ kind, sizeBytes: 64 * MIB });
    volume = made;
    await made.shell('echo text > file');
    expect(await state(made.target)).not.toBe('clean');
    expect(await remount('ro', made.directory)).toBe('');
    expect(await state(made.target)).toBe('clean');
    const copy = made.scratch.file('copy.img');
    await shell(`cp --sparse=always '${made.image}' '${copy}'`);
    expect(await quarry('fsck', '-n', copy)).toMatchObject({ status: 0 });
    expect((await made.shellResult('echo more >> file')).stderr).toContain('Read-only file system');
    expect(await made.shell('cat file')).toBe('text\n');
    expect(await remount('rw', made.directory)).toBe('');
    await made.shell('echo more >> file; sync file');
    expect(await state(made.target)).not.toBe('clean');
    await made.remount();
    expect(await made.shell('cat file')).toBe('text\nmore\n');
    await endSound(made);
  });

  test('mounted read-only: writes nothing, becomes writable, unless the device is write-protected', async () => {
    const made = await Volume.make({ kind, sizeBytes: 64 * MIB });
    volume = made;
    await made.shell('echo text > file');
    await made.remount('-o', 'ro');
    const sum = () => shell(`sync -f '${made.image}'; sha256sum < '${made.image}'`);
    const before = await sum();
    expect(await made.shell('cat file')).toBe('text\n');
    expect((await made.shellResult('touch new')).stderr).toContain('Read-only file system');
    expect(await sum()).toBe(before);
    if (kind === 'image') expect(await remount('rw', made.directory)).toBe('');
    else await shell(`mount -i -o remount,rw '${made.directory}'`);
    await made.shell('echo more >> file; sync file');
    expect(await state(made.target)).not.toBe('clean');
    expect(await remount('ro', made.directory)).toBe('');
    expect(await state(made.target)).toBe('clean');
    await made.unmount();
    if (kind === 'image') await endProtected(made);
  });

  test('refuses what cannot be changed, and a mount that is being written to', async () => {
    const made = await Volume.make({ kind, sizeBytes: 64 * MIB });
    volume = made;
    expect(await remount('ro,bogus', made.directory)).toMatch(/^quarry: unknown mount option 'bogus'.*\n$/);
    expect(await remount('cache=8M', made.directory)).toMatch(/^quarry: cache=8M cannot be had .*\n$/);
    const busy = await made.shellResult(`exec 5> open; node '${QUARRY}' mount -o remount,ro .`);
    expect(busy.stderr).toMatch(/is busy: files are open for writing/);
    await made.shell('echo still writable > file');
    expect(await remount('commit=7,noatime', made.directory)).toBe('');
    const flags = await made.shell('findmnt -n -o VFS-OPTIONS .');
    expect(flags).toContain('noatime');
    await endSound(made);
  });
});

describeQuarry('a plain mount(8)', () => {
  test('-o remount,ro is noticed, and -o remount,rw is before the first write', async () => {
    const made = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB });
    volume = made;
    await made.shell('echo text > file');
    for (let round = 0; round < 3; round++) {
      const changed = await shellResult(`mount -i -o remount,ro '${made.directory}'`);
      expect(changed.stderr).toBe('');
      await until('a clean volume', 60_000, async () => (await state(made.target)) === 'clean');
      // No moment between: what the kernel lets pass is not refused.
      await shellResult(
        `mount -i -o remount,rw '${made.directory}' && echo ${round} >> '${made.directory}/file'`,
      );
      expect(await state(made.target)).not.toBe('clean');
    }
    expect(await made.shell('cat file')).toBe('text\n0\n1\n2\n');
    await endSound(made);
  });

  test('-o remount,strictatime changes the rule of access times', async () => {
    const made = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB });
    volume = made;
    await made.shell('echo text > file; sync file');
    const atime = () =>
      made.shell('sleep 0.02; dd if=file iflag=direct status=none > /dev/null; stat -c %x file');
    await atime();
    expect(await atime()).toBe(await atime());
    const moves = async () => new Set([await atime(), await atime()]).size === 2;
    // Again and again: a change may not get lost until the next one comes along.
    for (const rule of ['strictatime', 'relatime', 'strictatime', 'relatime', 'strictatime']) {
      await shell(`mount -i -o remount,${rule} '${made.directory}'`);
      await until(rule, 5000, async () => (await moves()) === (rule === 'strictatime'));
    }
    // What quarry changes later leaves it.
    expect(await remount('commit=7', made.directory)).toBe('');
    expect(await moves()).toBe(true);
    await endSound(made);
  });
});
