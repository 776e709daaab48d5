/**
 * Access times on a real mount: what stat says after the kernel asked for data, by each rule of the
 * mount.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, MIB, Volume } from './harness.ts';

/**
 * Prints which of file, directory and symlink have another access time after they were read past
 * the caches.
 */
const READ_ALL = `
import mmap, os, sys, time
linked = []
O_NOATIME = 0o1000000 if 'O_NOATIME' in sys.argv else 0
def times():
    return {name: os.lstat(name).st_atime_ns for name in ('file', 'directory', 'link')}
def read_all():
    fd = os.open('file', os.O_RDONLY | os.O_DIRECT | O_NOATIME); os.readv(fd, [mmap.mmap(-1, 4096)]); os.close(fd)
    fd = os.open('directory', os.O_RDONLY | O_NOATIME)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED); os.listdir(fd); os.close(fd)
    # The target of a link stays in the cache.
    if not O_NOATIME and not linked: linked.append(os.readlink('link'))
def moved():
    before = times(); time.sleep(0.02); read_all(); after = times()
    return ' '.join(name for name in before if before[name] != after[name]) or 'none'
`;
const MAKE =
  'rm -rf file directory link; echo text > file; mkdir directory; ln -s file link; touch directory/name; sleep 0.02';

describeMount('access times', () => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB });
  });
  afterAll(() => volume?.destroy());

  test('relatime: the first read moves them, the second does not, and a change makes them move again', async () => {
    await volume.shell(MAKE);
    const said = await volume.python(`${READ_ALL}
print(moved()); print(moved())
os.chmod('file', 0o600); os.rename('directory/name', 'directory/other')
print(moved())`);
    expect(said).toBe('file directory link\nnone\nfile directory\n');
  });

  test('O_NOATIME is honoured', async () => {
    await volume.shell(MAKE);
    expect(await volume.python(`${READ_ALL}\nprint(moved())`, ['O_NOATIME'])).toBe('none\n');
  });

  test('a time that is set wins, and what was gathered is there after a remount', async () => {
    await volume.shell(MAKE);
    const said = await volume.python(`${READ_ALL}
read_all(); os.utime('file', ns=(77, 88))
print(times())`);
    expect(said).toContain("'file': 77,");
    await volume.remount();
    expect(await volume.python(`${READ_ALL}\nprint(times())`)).toBe(said);
  });

  test('strictatime moves them each time, noatime never, nodiratime not those of directories, ro none', async () => {
    await volume.shell(MAKE);
    const twice = `${READ_ALL}\nprint(moved()); print(moved())`;
    await volume.remount('-o', 'strictatime');
    expect(await volume.python(twice)).toBe('file directory link\nfile directory\n');
    await volume.remount('-o', 'nodiratime,strictatime');
    expect(await volume.python(twice)).toBe('file link\nfile\n');
    await volume.remount('-o', 'noatime');
    await volume.shell(MAKE);
    expect(await volume.python(twice)).toBe('none\n'.repeat(2));
    await volume.remount('-o', 'ro,strictatime');
    expect(await volume.python(twice)).toBe('none\n'.repeat(2));
    await volume.remount();
    await volume.unmountAndCheck();
  });
});
