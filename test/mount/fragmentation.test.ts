/** `quarry frag` and `quarry map` on mounts: files, directories, and the volume, mounted or not. */
import { afterEach, expect, test } from 'vitest';
import { describeQuarry, MIB, quarry, type TargetKind, Volume } from './harness.ts';

/** Two files that grow in turn, each append on the disk before the next. */
const WEAVE = `
import os
os.mkdir('folder')
files = [open(name, 'wb') for name in ('first', 'folder/second')]
for i in range(40):
    for file in files:
        file.write(bytes([i + 1]) * 4096)
        file.flush()
        os.fsync(file.fileno())
`;

const CHURN = `
import os
for i in range(400):
    with open('file%d' % (i % 50), 'wb') as file:
        file.write(os.urandom(5000 * (i % 20 + 1)))
        if i % 10 == 0: os.fsync(file.fileno())
`;

interface Extent {
  fileBlock: number;
  block: number;
  length: number;
}

async function json(...words: string[]): Promise<Record<string, unknown>> {
  const { status, stdout, stderr } = await quarry(...words, '--json');
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** The extents by the kernel; undefined where the mount does not answer FIEMAP. */
async function extentsByKernel(volume: Volume, name: string): Promise<Extent[] | undefined> {
  const { status, stdout } = await volume.shellResult(`filefrag -v -b4096 '${name}'`);
  if (status !== 0 || !/physical_offset/.test(stdout)) return undefined;
  const rows = [...stdout.matchAll(/^ *\d+: +(\d+)\.\. *\d+: +(\d+)\.\. *\d+: +(\d+):/gm)];
  return rows.map(([, fileBlock, block, length]) => ({
    fileBlock: Number(fileBlock),
    block: Number(block),
    length: Number(length),
  }));
}

interface DumpedPart {
  title: string;
  fields: Record<string, unknown>;
}

/** The extents by `quarry dump`: of the inode, or of the leaves below it. */
async function extentsByDump(target: string, subject: string, number: number): Promise<Extent[]> {
  const { parts } = (await json('dump', target, subject, String(number))) as { parts: DumpedPart[] };
  const extents: Extent[] = [];
  for (const { title, fields } of parts) {
    if (title.startsWith('branch record'))
      extents.push(...(await extentsByDump(target, 'block', Number(fields.child))));
    if (title.startsWith('extent record'))
      extents.push({
        fileBlock: Number(fields.key),
        block: Number(fields.block),
        length: Number(fields.length),
      });
  }
  return extents;
}

function piecesOf(extents: readonly Extent[]): number {
  return extents.filter(({ block }, i) => {
    const before = extents[i - 1];
    return !before || before.block + before.length !== block;
  }).length;
}

/** Figures without what says where they come from. */
function figuresOf(found: Record<string, unknown>): Record<string, unknown> {
  const { name: _, mountedOn: __, isClean: ___, committed: ____, ...figures } = found;
  return figures;
}

describeQuarry('fragmentation on a mount', () => {
  let volume: Volume;
  /** Mounted, with two files that are woven into each other. */
  async function woven(kind: TargetKind): Promise<void> {
    volume = await Volume.make({ kind, sizeBytes: 128 * MIB }, { mounted: false });
    await volume.mount('--allocator', 'first-fit');
    await volume.python(WEAVE);
  }
  afterEach(() => volume?.destroy());

  test.each<TargetKind>(['image', 'loop'])(
    'a file of a volume on %s: its extents are those on the disk',
    async (kind) => {
      await woven(kind);
      const found = await json('frag', `${volume.directory}/first`);
      const inode = Number(await volume.shell('stat -c %i first'));
      const expected =
        (await extentsByKernel(volume, 'first')) ?? (await extentsByDump(volume.target, 'inode', inode));
      const extents = (found.extents as Extent[]).map(({ fileBlock, block, length }) => ({
        fileBlock,
        block,
        length,
      }));
      expect(extents).toEqual(expected);
      expect(found).toMatchObject({
        inode,
        sizeBytes: 40 * 4096,
        blocks: 40,
        extentCount: piecesOf(expected),
        layoutScore: (40 - piecesOf(expected)) / 39,
        mountedOn: volume.directory,
        target: volume.target,
        committed: true,
      });
      expect(piecesOf(expected)).toBeGreaterThan(5);
      const { stdout } = await quarry('frag', `${volume.directory}/first`);
      expect(stdout).toContain(`first: ${piecesOf(expected)} extents found, layout score 0.`);
      expect(stdout).toMatch(/last,eof$/m);
    },
  );

  test.each<TargetKind>(['image', 'loop'])(
    'a volume on %s: the same figures mounted, by its target and by its directory, and unmounted',
    async (kind) => {
      await woven(kind);
      const mounted = figuresOf(await json('frag', volume.directory));
      expect(mounted).toMatchObject({
        inodes: { regular: 2, directories: 2 },
        layout: { files: 2, blocks: 80 },
        faults: { count: 0 },
      });
      expect(figuresOf(await json('frag', volume.target))).toEqual(mounted);
      const map = await volume.scratch.file('map.svg');
      expect(await quarry('map', volume.directory, '--svg', map)).toMatchObject({ status: 0, stderr: '' });
      await volume.unmountAndCheck();
      expect(figuresOf(await json('frag', volume.target))).toEqual(mounted);
    },
  );

  test('a directory, names that are no place, and a volume that is being written', async () => {
    await woven('image');
    await volume.shell('mkfifo pipe; echo short > short');
    const found = await json('frag', `${volume.directory}/folder`);
    expect(found).toMatchObject({
      inodes: { regular: 1, directories: 1 },
      layout: { files: 1, blocks: 40 },
      worst: [{ path: '/second', blocks: 40 }],
    });
    expect(found.freeSpace).toBeUndefined();
    const { stdout } = await quarry('frag', `${volume.directory}/folder`);
    expect(stdout).toContain(`${volume.directory}/folder/second\n`);
    expect((await quarry('frag', `${volume.directory}/short`)).stdout).toContain(
      '0 extents found: its data is in the inode',
    );
    for (const name of ['missing', 'first/below', 'pipe']) {
      const refused = await quarry('frag', `${volume.directory}/${name}`);
      expect([refused.status, refused.stdout, refused.stderr.trimEnd().split('\n').length]).toEqual([
        1,
        '',
        1,
      ]);
    }
    const outside = await quarry('frag', volume.scratch.path);
    expect(outside).toMatchObject({ status: 1, stdout: '' });
    expect(outside.stderr).toContain('is not in a mount of Quarry');
    expect(await quarry('map', `${volume.directory}/folder`)).toMatchObject({ status: 1, stdout: '' });
    const writing = volume.python(CHURN);
    for (let i = 0; i < 3; i++) {
      const { status, stdout: figures } = await quarry('frag', '--json', volume.directory);
      expect(status).toBe(0);
      expect(JSON.parse(figures)).toMatchObject({ committed: true });
    }
    await writing;
    await volume.unmountAndCheck();
  });
});
