/** `quarry defrag` on mounts: beside writers, for whom it may, stopped in the midst of it. */
import { spawn } from 'node:child_process';
import { afterEach, expect, test } from 'vitest';
import {
  type CommandResult,
  describeQuarry,
  MIB,
  QUARRY,
  quarry,
  run,
  type TargetKind,
  until,
  Volume,
} from './harness.ts';

/** Files that grow in turn, each append on the disk before the next; then every other one goes. */
const WEAVE = `
import os, sys
turns, bytes, names = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
files = [open(name, 'wb') for name in names]
for i in range(turns):
    for file in files:
        file.write(os.urandom(bytes))
        file.flush()
        os.fsync(file.fileno())
`;

/** Writes, cuts off, removes and renames beside the mover, and knows what each file must hold. */
const CHURN = `
import os, random, sys
random.seed(int(sys.argv[1]))
model = {}
for i in range(int(sys.argv[2])):
    name = 'churn%d' % random.randrange(4)
    dice = random.randrange(12)
    if name not in model or dice == 0:
        if name in model: os.unlink(name)
        open(name, 'wb').close()
        model[name] = bytearray()
    data = model[name]
    if dice == 1:
        size = random.randrange(len(data) + 50000)
        os.truncate(name, size)
        model[name] = data[:size] + bytes(max(0, size - len(data)))
    elif dice == 2:
        os.rename(name, 'other')
        os.rename('other', name)
    else:
        at = random.randrange(2_000_000)
        piece = random.randbytes(random.choice([300, 5000, 70000]))
        with open(name, 'r+b') as file:
            file.seek(at)
            file.write(piece)
            if random.randrange(2): file.flush(); os.fsync(file.fileno())
        if len(data) < at + len(piece): data.extend(bytes(at + len(piece) - len(data)))
        data[at:at + len(piece)] = piece
    if i % 10 == 0:
        os.system('sync -f .')
        for name, data in model.items():
            descriptor = os.open(name, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            found = os.read(descriptor, len(data) + 1)
            while len(found) < len(data): found += os.read(descriptor, len(data))
            os.close(descriptor)
            assert found == data, '%s differs at step %d' % (name, i)
`;

/** As long as it is open, one that writes to a file and reads it back. */
const HOLD = `
import os, sys
file = open('first', 'r+b')
print('open', flush=True)
sys.stdin.readline()
file.seek(100); file.write(b'held'); file.flush(); os.fsync(file.fileno())
file.seek(98); assert file.read(8)[2:6] == b'held'
`;

const STRANGER = ['setpriv', '--reuid', '1234', '--regid', '1234', '--clear-groups'] as const;

interface Moved {
  files: number;
  fragmented: number;
  better: number;
  pieces: number;
  piecesAfter: number;
  movedBytes: number;
  left: Record<string, number>;
  stopped: boolean;
}

async function defrag(...words: string[]): Promise<Moved> {
  const { status, stdout, stderr } = await quarry('defrag', '--json', ...words);
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as Moved;
}

async function piecesOf(place: string): Promise<number> {
  const { stdout } = await quarry('frag', '--json', place);
  return JSON.parse(stdout).extentCount as number;
}

describeQuarry('defrag', () => {
  let volume: Volume;
  afterEach(() => volume?.destroy());

  async function woven(kind: TargetKind, turns: number, bytes: number, names: string[]): Promise<void> {
    volume = await Volume.make({ kind, sizeBytes: 512 * MIB }, { mounted: false });
    await volume.mount('--allocator', 'first-fit');
    await volume.python(WEAVE, [String(turns), String(bytes), ...names]);
  }

  test.each<TargetKind>(['image', 'loop'])(
    'a file of hundreds of pieces on %s becomes one, and nobody sees it',
    async (kind) => {
      await woven(kind, 200, 8192, ['first', 'second', 'third']);
      await volume.shell('rm second; ln first link; truncate -s 9M third; mkdir d; mv third d');
      const look = 'sha256sum first link d/third; stat -c "%n %s %h %.9Y %.9Z %W" first link d/third';
      const before = await volume.shell(look);
      const holder = spawn('python3', ['-c', HOLD], { cwd: volume.directory });
      const ended = new Promise((resolve) => holder.once('close', resolve));
      await new Promise((resolve) => holder.stdout.once('data', resolve));
      expect(await piecesOf(`${volume.directory}/first`)).toBe(200);
      const looked = await defrag('--dry-run', volume.directory);
      expect(looked).toMatchObject({ files: 2, fragmented: 2, pieces: 400, piecesAfter: 2, movedBytes: 0 });
      expect(await piecesOf(`${volume.directory}/first`)).toBe(200);
      const moved = await defrag(volume.directory);
      expect(moved).toMatchObject({ files: 2, better: 2, pieces: 400, piecesAfter: 2, stopped: false });
      expect(moved.movedBytes).toBe(400 * 8192);
      // Its tree has no nodes any more, and the kernel hears of that.
      await until('blocks', 2000, async () => (await volume.shell('stat -c %b first')) === '3200\n');
      for (const name of ['first', 'link', 'd/third'])
        expect(await piecesOf(`${volume.directory}/${name}`)).toBe(1);
      expect(await volume.shell(look)).toBe(before);
      holder.stdin.end('go\n');
      expect(await ended).toBe(0);
      const sums = await volume.shell('sha256sum first d/third');
      await volume.remount();
      expect(await volume.shell('sha256sum first d/third')).toBe(sums);
      await volume.unmountAndCheck();
    },
  );

  test('by the name of the target, of a directory, of files; and a volume that is not mounted', async () => {
    await woven('image', 60, 4096, ['a', 'b', 'c', 'd']);
    await volume.shell('mkdir -p deep/er; mv a deep/er; mv b deep; sha256sum c d deep/b deep/er/a > sums');
    const { stdout } = await quarry('defrag', '-v', `${volume.directory}/deep`);
    expect(stdout).toContain(`${volume.directory}/deep/b: 60 pieces, now 1\n`);
    expect(stdout).toContain(`${volume.directory}/deep/er/a: 60 pieces, now 1\n`);
    expect(stdout).toMatch(/files: +2, 2 in more than one piece\n/);
    expect(await defrag(`${volume.directory}/c`, `${volume.directory}/sums`)).toMatchObject({
      files: 2,
      better: 1,
    });
    expect(await piecesOf(`${volume.directory}/d`)).toBe(60);
    await volume.unmount();
    const offline = await quarry('defrag', '-v', volume.target);
    expect(offline).toMatchObject({ status: 0, stderr: '' });
    expect(offline.stdout).toContain('/d: 60 pieces, now 1\n');
    await volume.mount();
    await volume.shell('sha256sum -c sums');
    expect(await defrag(volume.target)).toMatchObject({ files: 5, fragmented: 0 });
    await volume.unmountAndCheck();
  });

  test('in a loop, beside one who writes, cuts off and removes', async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 256 * MIB }, { mounted: false });
    await volume.mount('--allocator', 'first-fit', '-o', 'commit=1');
    let isOver = false;
    const results: CommandResult[] = [];
    const moving = (async () => {
      while (!isOver) results.push(await quarry('defrag', '--json', volume.directory));
    })();
    await Promise.all([1, 2].map((seed) => churn(seed))).finally(() => {
      isOver = true;
    });
    await moving;
    expect(results.filter(({ status }) => status !== 0)).toEqual([]);
    const moved = results.map(({ stdout }) => JSON.parse(stdout) as Moved);
    expect(moved.reduce((sum, { better }) => sum + better, 0)).toBeGreaterThan(3);
    await volume.unmountAndCheck();

    async function churn(seed: number): Promise<void> {
      await volume.shell(`mkdir ${seed}`);
      await volume.shell(`cd ${seed} && python3 -c "$CHURN" ${seed} 500`, { env: { CHURN } });
    }
  });

  test('Ctrl-C stops it, and every file is whole', async () => {
    const names = Array.from({ length: 24 }, (_, i) => `f${i}`);
    await woven('image', 40, 196_608, names);
    const sums = await volume.shell('sha256sum f*');
    const child = spawn(process.execPath, [QUARRY, 'defrag', '-v', volume.directory]);
    let stdout = '';
    child.stdout.on('data', (chunk: Buffer) => {
      // As soon as one is done.
      if (stdout === '') child.kill('SIGINT');
      stdout += chunk.toString();
    });
    const status = await new Promise((resolve) => child.once('close', resolve));
    // Whoever is just killed says no sums.
    expect(stdout).toMatch(/^files: +\d+/m);
    const done = Number(/^files: +(\d+)/m.exec(stdout)?.[1]);
    // A machine that is quick enough is through before, and its process ends by the signal.
    if (done < 24) {
      expect(status).toBe(130);
      expect(stdout).toMatch(/^files: .*; stopped$/m);
      const { layout } = JSON.parse((await quarry('frag', '--json', volume.directory)).stdout);
      expect(layout.extents).toBeGreaterThan(layout.files);
    } else expect([0, null]).toContain(status);
    expect(done).toBeGreaterThan(0);
    expect(await volume.shell('sha256sum f*')).toBe(sums);
    await volume.unmountAndCheck();
  });

  test('others may move their own files, and nobody else’s', async () => {
    await woven('image', 30, 4096, ['mine', 'roots']);
    await volume.shell('chown 1234 mine; mkdir -m 0700 closed');
    const words = ['defrag', '-v', volume.directory];
    const { status, stdout, stderr } = await run(STRANGER[0], [
      ...STRANGER.slice(1),
      process.execPath,
      QUARRY,
      ...words,
    ]);
    expect(stdout).toContain(`${volume.directory}/mine: 30 pieces, now 1\n`);
    expect(stdout).toContain(`${volume.directory}/roots: belongs to another user\n`);
    expect(stderr).toMatch(/closed cannot be read \(EACCES\), and what is in it is left as it is\n$/);
    expect(status).toBe(1);
    expect(await piecesOf(`${volume.directory}/roots`)).toBe(30);
    await volume.unmountAndCheck();
  });

  test('what cannot be is refused in one line', async () => {
    await woven('image', 20, 4096, ['a', 'b']);
    const refused = async (status: number, ...words: string[]) => {
      const ended = await quarry('defrag', ...words);
      expect([ended.status, ended.stdout]).toEqual([status, '']);
      expect(ended.stderr).toMatch(/^quarry: [^\n]+\n$/);
      return ended.stderr;
    };
    expect(await refused(1, volume.scratch.path)).toContain('is not in a mount of Quarry');
    expect(await refused(1, `${volume.directory}/missing`)).toContain('does not exist');
    expect(await refused(1, `${volume.directory}/a`, '/dev/null')).toContain('/dev/null');
    expect(await refused(2)).toContain('missing required argument');
    expect(await refused(2, '--bogus', volume.directory)).toContain('unknown option');
    expect(await piecesOf(`${volume.directory}/a`)).toBe(20);
    await volume.remount('-o', 'ro');
    expect(await refused(1, volume.directory)).toContain('is mounted read-only');
    await volume.remount();
    expect(await quarry('mount', '-o', 'remount,ro', volume.directory)).toMatchObject({ status: 0 });
    expect(await refused(1, volume.directory)).toContain('is mounted read-only');
    // The volume rests; it wakes where it may be changed again.
    expect(await quarry('mount', '-o', 'remount,rw', volume.directory)).toMatchObject({ status: 0 });
    expect(await defrag(`${volume.directory}/b`)).toMatchObject({ better: 1 });
    await volume.unmount();
    expect(await refused(2, '-n', volume.target)).toContain('is not mounted');
    await volume.mount();
    expect(await piecesOf(`${volume.directory}/a`)).toBe(20);
    await volume.unmountAndCheck();
  });
});
