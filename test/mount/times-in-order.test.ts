/**
 * Times come in the order of events, across filesystems too: what was made later is never older.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, MIB, Volume } from './harness.ts';

/**
 * One event after another, here and on tmpfs, each followed by a look at the time that it left:
 * since Linux 6.13 tmpfs stamps what was looked at more finely than the tick. Prints the pairs of
 * which the later one is older.
 */
const PROGRAM = `
import os, sys
other = sys.argv[1]
def changed(path): return os.stat(path, follow_symlinks=False).st_ctime_ns
def modified(path): return os.stat(path, follow_symlinks=False).st_mtime_ns
def elsewhere():
    with open(other, 'a') as file: file.write('x')
    return modified(other)
def made(path):
    os.mknod(path); return changed(path)
def written(path):
    with open(path, 'w') as file: file.write('x')
    return modified(path)
def named(make):
    make(); return modified('d')
os.mkdir('d')
older = []
before, last = 0, 'nothing'
for i in range(60):
    name = f'd/{i}'
    events = [
        ('mknod', lambda: made(name)),
        ('write', lambda: written(f'd/w{i}')),
        ('mkdir', lambda: named(lambda: os.mkdir(name + 'd'))),
        ('symlink', lambda: named(lambda: os.symlink('to', name + 's'))),
        ('rename', lambda: named(lambda: os.rename(name, name + 'r'))),
        ('chmod', lambda: (os.chmod(name + 'd', 0o700), changed(name + 'd'))[1]),
        ('utime', lambda: (os.utime(name + 'd'), modified(name + 'd'))[1]),
        ('unlink', lambda: named(lambda: os.unlink(name + 'r'))),
    ]
    for what, event in events:
        for step, act in (('elsewhere', elsewhere), ('elsewhere', elsewhere), (what, event)):
            now = act()
            if now < before: older.append(f'{step} after {last}: {before - now} ns')
            before, last = now, step
print('\\n'.join(older[:20]) or 'in order')
`;

describeMount('times of names', () => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
  });
  afterAll(() => volume?.destroy());

  test('are never older than those of another filesystem before, nor younger than those after', async () => {
    expect(await volume.python(PROGRAM, [volume.scratch.file('elsewhere')])).toBe('in order\n');
  });
});
