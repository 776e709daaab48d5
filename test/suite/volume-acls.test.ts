/**
 * ACLs and capabilities on a volume: that they agree with the mode, are inherited, and go when they
 * must; and that the checker finds nothing afterwards.
 */
import { describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { FileType } from '../../src/fs/format/format.ts';
import type { VolumeOptions } from '../../src/fs/life/volume-options.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { aclBytes, aclText } from './acl-bytes.ts';
import { formatted, TestVolume } from './volume-harness.ts';

const ACCESS = 'system.posix_acl_access';
const DEFAULT = 'system.posix_acl_default';
const CAPABILITY = 'security.capability';
const MIB = 1024 * 1024;
const NAMED = 'u::rw-,u:1000:rwx,g::r--,m::rwx,o::---';
const bytes = (text: string) => new TextEncoder().encode(text);

async function made(blockBytes = 4096, journalBlocks?: number): Promise<TestVolume> {
  const device = new MemoryDevice(16 * MIB);
  await formatted(device, blockBytes, journalBlocks);
  return TestVolume.open(device);
}

async function set(volume: TestVolume, path: string, name: string, value: Uint8Array): Promise<void> {
  const inode = await volume.resolve(path);
  await volume.volume.run((tx) =>
    volume.volume.setExtendedAttribute(tx, inode, { name: bytes(name), value }),
  );
}

async function get(volume: TestVolume, path: string, name: string): Promise<Uint8Array | string> {
  const inode = await volume.resolve(path);
  return volume.volume
    .run((tx) => volume.volume.getExtendedAttribute(tx, inode, bytes(name)))
    .catch(({ code }: { code: string }) => code);
}

async function aclOf(volume: TestVolume, path: string, name = ACCESS): Promise<string> {
  const found = await get(volume, path, name);
  return typeof found === 'string' ? found : aclText(found);
}

async function modeOf(volume: TestVolume, path: string): Promise<number> {
  return (await volume.stat(path)).mode & 0o7777;
}

async function soundAfterwards(volume: TestVolume): Promise<void> {
  await volume.volume.checkInvariants();
  await volume.volume.unmount();
  expect((await checkVolume((volume.device as MemoryDevice).reopen())).problems).toEqual([]);
}

describe('an access ACL', () => {
  test('becomes the mode, and follows it', async () => {
    const volume = await made();
    await volume.create('/f', FileType.regular | 0o4644);
    await set(volume, '/f', ACCESS, aclBytes(NAMED));
    expect(await modeOf(volume, '/f')).toBe(0o4670);
    await volume.change('/f', { mode: 0o2705 });
    expect(await aclOf(volume, '/f')).toBe('u::rwx,u:1000:rwx,g::r--,m::---,o::r-x');
    expect(await modeOf(volume, '/f')).toBe(0o2705);
    await soundAfterwards(volume);
  });

  test('that says no more than a mode is one', async () => {
    const volume = await made();
    const inode = await volume.create('/f');
    await set(volume, '/f', ACCESS, aclBytes(NAMED));
    await set(volume, '/f', ACCESS, aclBytes('u::rwx,g::r-x,o::--x'));
    expect(await aclOf(volume, '/f')).toBe('ENODATA');
    expect(await modeOf(volume, '/f')).toBe(0o751);
    expect(await volume.volume.run((tx) => volume.volume.listExtendedAttributes(tx, inode))).toEqual([]);
    await soundAfterwards(volume);
  });

  test('leaves the mode as it is when it goes', async () => {
    const volume = await made();
    const inode = await volume.create('/f');
    await set(volume, '/f', ACCESS, aclBytes(NAMED));
    await volume.volume.run((tx) => volume.volume.removeExtendedAttribute(tx, inode, bytes(ACCESS)));
    expect(await modeOf(volume, '/f')).toBe(0o670);
    // Nor need it be there.
    await volume.volume.run((tx) => volume.volume.removeExtendedAttribute(tx, inode, bytes(ACCESS)));
    await set(volume, '/f', ACCESS, new Uint8Array([2, 0, 0, 0]));
    expect(await aclOf(volume, '/f')).toBe('ENODATA');
    await soundAfterwards(volume);
  });

  test('is refused where it is none, or nowhere to be', async () => {
    const volume = await made();
    await volume.create('/f');
    await volume.symlink('f', '/s');
    const refused = (path: string, name: string, value: Uint8Array) =>
      set(volume, path, name, value).then(
        () => 'no refusal',
        ({ code }) => code,
      );
    expect(await refused('/f', ACCESS, bytes('rwx'))).toBe('EINVAL');
    expect(await refused('/f', ACCESS, aclBytes('u::rw-,u:7:r--,g::r--,o::---'))).toBe('EINVAL');
    expect(await refused('/f', DEFAULT, aclBytes(NAMED))).toBe('EACCES');
    expect(await refused('/s', ACCESS, aclBytes(NAMED))).toBe('EOPNOTSUPP');
    expect(await modeOf(volume, '/f')).toBe(0o644);
    await soundAfterwards(volume);
  });
});

describe('a default ACL', () => {
  test('takes the place of the umask, and goes on to directories', async () => {
    const volume = await made();
    await volume.mkdir('/d');
    const inherited = 'u::rwx,u:1000:rwx,g::rwx,m::rwx,o::---';
    await set(volume, '/d', DEFAULT, aclBytes(inherited));
    expect(await modeOf(volume, '/d')).toBe(0o755);
    await volume.create('/d/f', FileType.regular | 0o666);
    expect(await aclOf(volume, '/d/f')).toBe('u::rw-,u:1000:rwx,g::rwx,m::rw-,o::---');
    expect(await modeOf(volume, '/d/f')).toBe(0o660);
    expect(await aclOf(volume, '/d/f', DEFAULT)).toBe('ENODATA');
    await volume.create('/d/sub', FileType.directory | 0o777);
    await volume.create('/d/sub/fifo', FileType.fifo | 0o622);
    expect(await aclOf(volume, '/d/sub', DEFAULT)).toBe(inherited);
    expect(await aclOf(volume, '/d/sub')).toBe(inherited);
    expect(await modeOf(volume, '/d/sub/fifo')).toBe(0o620);
    await volume.symlink('f', '/d/s');
    expect(await modeOf(volume, '/d/s')).toBe(0o777);
    expect(await aclOf(volume, '/d/s')).toBe('ENODATA');
    await soundAfterwards(volume);
  });

  test('that names nobody is a mode for what is made', async () => {
    const volume = await made();
    await volume.mkdir('/d');
    await set(volume, '/d', DEFAULT, aclBytes('u::rwx,g::rw-,o::r--'));
    await volume.create('/d/f', FileType.regular | 0o666);
    expect(await modeOf(volume, '/d/f')).toBe(0o664);
    expect(await aclOf(volume, '/d/f')).toBe('ENODATA');
    expect(await volume.stat('/d/f')).toMatchObject({ sectors: 0 });
    await soundAfterwards(volume);
  });

  test('is as long as one transaction can make a directory with it, in the smallest journal', async () => {
    const volume = await made(1024, 64);
    const named = (count: number) => {
      const names = Array.from({ length: count }, (_, i) => `u:${i + 1}:r-x`);
      return aclBytes(`u::rwx,${names.join(',')},g::r-x,m::rwx,o::---`);
    };
    await volume.mkdir('/d');
    await expect(set(volume, '/d', DEFAULT, named(90))).rejects.toMatchObject({ code: 'E2BIG' });
    await set(volume, '/d', DEFAULT, named(77));
    for (let i = 0; i < 40; i++) await volume.mkdir(`/d/${'n'.repeat(200)}${i}`);
    expect(await aclOf(volume, `/d/${'n'.repeat(200)}39`, DEFAULT)).toBe(aclText(named(77)));
    await soundAfterwards(volume);
  });

  test('what is made in a directory without one costs no block', async () => {
    const volume = await made();
    await volume.mkdir('/d');
    await set(volume, '/d', 'user.a', bytes('b'));
    await volume.create('/d/f', FileType.regular | 0o666);
    expect(await volume.stat('/d/f')).toMatchObject({ sectors: 0, mode: FileType.regular | 0o644 });
    await soundAfterwards(volume);
  });
});

test('without ACLs they are neither shown nor heeded nor changed', async () => {
  const options: VolumeOptions = { acl: false };
  let volume = await made();
  await volume.mkdir('/d');
  await set(volume, '/d', DEFAULT, aclBytes(NAMED));
  await set(volume, '/d', ACCESS, aclBytes(NAMED));
  volume = await volume.remount(options);
  expect(await aclOf(volume, '/d')).toBe('EOPNOTSUPP');
  const inode = await volume.resolve('/d');
  expect(await volume.volume.run((tx) => volume.volume.listExtendedAttributes(tx, inode))).toEqual([]);
  await expect(set(volume, '/d', ACCESS, aclBytes(NAMED))).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
  const removed = volume.volume.run((tx) => volume.volume.removeExtendedAttribute(tx, inode, bytes(DEFAULT)));
  await expect(removed).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
  await volume.create('/d/f', FileType.regular | 0o666);
  expect(await modeOf(volume, '/d/f')).toBe(0o644);
  await soundAfterwards(volume);
});

describe('security.capability', () => {
  async function program(): Promise<{ volume: TestVolume; inode: number }> {
    const volume = await made();
    const inode = await volume.create('/f');
    await volume.write(inode, 0, new Uint8Array(5000));
    await set(volume, '/f', CAPABILITY, bytes('capable'));
    await set(volume, '/f', 'security.other', bytes('kept'));
    return { volume, inode };
  }

  async function gone(volume: TestVolume): Promise<void> {
    expect(await get(volume, '/f', CAPABILITY)).toBe('ENODATA');
    expect(await get(volume, '/f', 'security.other')).toEqual(bytes('kept'));
    await soundAfterwards(volume);
  }

  test('goes by a write in place', async () => {
    const { volume, inode } = await program();
    await volume.write(inode, 0, new Uint8Array(10));
    await gone(volume);
  });

  test('goes by a truncation', async () => {
    const { volume } = await program();
    await volume.truncate('/f', 100);
    await gone(volume);
  });

  test('goes with the owner', async () => {
    const { volume } = await program();
    await volume.change('/f', { gid: 5 });
    await gone(volume);
  });

  test('stays when a cache is written, with a chmod and with times', async () => {
    const { volume, inode } = await program();
    volume.fromCache = true;
    await volume.write(inode, 6000, new Uint8Array(10));
    await volume.change('/f', { mode: 0o755, modifySeconds: 5 });
    expect(await get(volume, '/f', CAPABILITY)).toEqual(bytes('capable'));
    await soundAfterwards(volume);
  });
});
