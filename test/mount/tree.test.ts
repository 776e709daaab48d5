/**
 * A real tree goes onto the mount by `cp -a` and is the same there, also after unmounting and
 * mounting again.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  describeMount,
  FULL,
  GIB,
  KIB,
  listing,
  python,
  Scratch,
  shell,
  type TargetKind,
  Volume,
} from './harness.ts';

/**
 * What few trees have: every type, mode bits, owners, odd times, holes, hard links, names of any
 * bytes.
 */
const ODDITIES = `
import os, socket, stat, sys
os.chdir(sys.argv[1])
def make(name, data=b'x'):
    with open(name, 'wb') as file: file.write(data)
for mode in (0o0000, 0o0600, 0o0755, 0o4755, 0o2755, 0o6711, 0o1644):
    make('mode-%o' % mode); os.chmod('mode-%o' % mode, mode)
for uid, gid in ((1, 2), (1000, 1000), (65534, 65534), (4000000000, 4000000001)):
    make('owner-%d' % uid); os.chown('owner-%d' % uid, uid, gid)
for when in (0, 1, 999999999, 1234567890_123456789, 4294967296_000000001, -1_000000001, 9999999999_999999999):
    make('time%d' % when); os.utime('time%d' % when, ns=(when, when))
for size in (0, 1, 511, 512, 1023, 1024, 4095, 4096, 4097, 65535, 65536, 65537, 1048577):
    make('size-%d' % size, os.urandom(size))
with open('holes', 'wb') as file:
    for at in (5000, 1 << 20, 7 << 20): file.seek(at); file.write(b'island')
    file.truncate(9 << 20)
os.link('size-4097', 'linked-1'); os.mkdir('folder'); os.link('size-4097', 'folder/linked-2')
for length in (1, 59, 60, 100, 255, 1000, 4000):
    os.symlink('t' * length, 'symlink-%d' % length)
os.mkfifo('fifo'); os.mknod('character', 0o600 | stat.S_IFCHR, os.makedev(1, 3))
os.mknod('block', 0o640 | stat.S_IFBLK, os.makedev(259, 1048575))
socket.socket(socket.AF_UNIX).bind('socket')
make(b'n' * 255); make(bytes(range(1, 47))); make(bytes(range(48, 256))); make('ünï→名'.encode())
make(b' leading'); make(b'trailing '); make(b'-dash'); make(b'new\\nline')
os.mkdir('sticky'); os.chmod('sticky', 0o1777); os.mkdir('setgid'); os.chmod('setgid', 0o2775); os.chown('setgid', 0, 100)
os.makedirs('/'.join(['deep'] * 60))
`;

const source = new Scratch();
let files = 0;

interface Case {
  kind: TargetKind;
  blockBytes: number;
}
const QUICK_CASES: Case[] = [
  { kind: 'loop', blockBytes: 4 * KIB },
  { kind: 'image', blockBytes: KIB },
  { kind: 'image', blockBytes: 64 * KIB },
];
const FULL_CASES: Case[] = (['loop', 'image'] as const).flatMap((kind) =>
  [1, 4, 64].map((kibibytes) => ({ kind, blockBytes: kibibytes * KIB })),
);

describeMount('cp -a of a tree', () => {
  beforeAll(async () => {
    const sharePart =
      '(find . -print0 || true) | head -z -n 24000 | tar -c --no-recursion --null -T - | tar -xp';
    await source.realTree();
    await shell('mkdir share oddities', { cwd: source.path });
    if (FULL) await shell(`${sharePart} -C '${source.file('share')}'`, { cwd: '/usr/share' });
    await python(ODDITIES, [source.file('oddities')]);
    files = Number(await shell('find . -mindepth 1 -printf x | wc -c', { cwd: source.path }));
  });
  afterAll(() => source.remove());

  test.for(FULL ? FULL_CASES : QUICK_CASES)('$kind, blocks of $blockBytes', async (options, { annotate }) => {
    // Blocks of 64 KiB take more than 1 GiB for 20,000 small files.
    const sizeBytes = (FULL && options.blockBytes === 64 * KIB ? 2 : 1) * GIB;
    const volume = await Volume.make({ ...options, sizeBytes });
    try {
      const target = join(volume.directory, 'tree');
      const begin = Date.now();
      await shell(`cp -a '${source.path}' '${target}'`);
      const seconds = (Date.now() - begin) / 1000;
      await annotate(`${files} files copied in ${seconds.toFixed(1)} s`);
      await expectEqualTrees(source.path, target);
      const before = await listing(target, true);
      await volume.unmountAndCheck();
      await volume.mount();
      expect(await listing(target, true)).toBe(before);
      await expectEqualTrees(source.path, target);
      await annotate('diff -r and listing equal, before and after unmount and mount; checker: clean');
      await shell(`rm -r '${target}'`);
      await volume.unmountAndCheck();
    } finally {
      await volume.destroy();
    }
  });
});

async function expectEqualTrees(expected: string, actual: string): Promise<void> {
  expect(await listing(actual)).toBe(await listing(expected));
  // diff cannot compare special files; the listing has.
  const special = ['fifo', 'character', 'block', 'socket'].map((name) => `-x ${name}`).join(' ');
  await shell(`diff -r --no-dereference ${special} '${expected}' '${actual}'`);
}
