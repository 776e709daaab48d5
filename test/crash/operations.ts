/**
 * The operations of the ACE family (Mohan et al., "Finding Crash-Consistency Bugs with Bounded
 * Black-Box Crash Testing", OSDI 2018), on its small set of names, as a table: each row makes one
 * change, alone and from a known start.
 *
 * The start has the directories A, A/C and B, and files of three sorts: `foo` with data in blocks,
 * `A/foo` with data inside the inode, `B/foo` with a hole. The names `bar` are free. Behind the end
 * of `foo` stands old data. The volume is nearly full.
 */
import { FileFlag } from '../../src/fs/base/filesystem.ts';
import type { Recorder } from './recorder.ts';

export interface CrashOperation {
  readonly name: string;
  run(recorder: Recorder): Promise<unknown>;
}

/** Share of the journal in use at the start: the next commit takes a checkpoint with it. */
const JOURNAL_SHARE = 0.45;
/** Blocks free at the start: the next allocations use what was freed before. */
const FREE_BLOCKS = 9;

/** Makes the start, durably. @param halfFull of the journal; otherwise there is room in it */
export async function prepare(recorder: Recorder, halfFull: boolean): Promise<void> {
  const { blockBytes } = recorder.volume;
  await recorder.mkdir('/A');
  await recorder.mkdir('/B');
  await recorder.mkdir('/A/C');
  for (const path of ['/foo', '/A/foo', '/B/foo']) await recorder.create(path);
  await recorder.write('/foo', 0, 3 * blockBytes);
  await recorder.truncate('/foo', 2 * blockBytes + 700);
  await recorder.write('/A/foo', 0, 90);
  await recorder.write('/B/foo', 0, 300);
  await recorder.write('/B/foo', 4 * blockBytes + 100, blockBytes);
  await recorder.symlink('long/'.repeat(300), '/B/long');
  await fill(recorder, FREE_BLOCKS);
  for (let i = 0; ; i++) {
    const { journalUsedBlocks, journalBlocks } = recorder.volume.counters();
    if (!halfFull || journalUsedBlocks >= journalBlocks * JOURNAL_SHARE) return;
    await recorder.chmod('/B', i % 2 === 0 ? 0o700 : 0o755);
    await recorder.sync();
  }
}

/** Makes a file that leaves so many blocks free. */
export async function fill(recorder: Recorder, freeBlocks: number): Promise<void> {
  await recorder.create('/filler');
  for (;;) {
    const free = (await recorder.freeBlocks()) - freeBlocks;
    if (free <= 0) break;
    const { blockBytes } = recorder.volume;
    const size = recorder.model.largestSize(recorder.model.get('/filler').id);
    if (!(await recorder.write('/filler', size, Math.min(free, 64) * blockBytes))) break;
  }
  await recorder.sync();
}

function operation(name: string, run: CrashOperation['run']): CrashOperation {
  return { name, run };
}

const FILES = ['/foo', '/A/foo', '/B/foo'];
const FREE_NAMES = ['/bar', '/A/bar', '/A/C/bar'];

const NAME_OPERATIONS: CrashOperation[] = [
  ...FREE_NAMES.map((path) => operation(`create ${path}`, (recorder) => recorder.create(path))),
  ...['/D', '/B/C'].map((path) => operation(`mkdir ${path}`, (recorder) => recorder.mkdir(path))),
  operation('symlink foo /bar', (recorder) => recorder.symlink('foo', '/bar')),
  operation('symlink long /A/bar', (recorder) => recorder.symlink('long/'.repeat(300), '/A/bar')),
  ...(
    [
      ['/foo', '/bar'],
      ['/foo', '/A/bar'],
      ['/A/foo', '/A/bar'],
      ['/A/foo', '/A/C/bar'],
    ] as const
  ).map(([from, to]) => operation(`link ${from} ${to}`, (recorder) => recorder.link(from, to))),
  ...[...FILES, '/B/long'].map((path) => operation(`unlink ${path}`, (recorder) => recorder.unlink(path))),
  operation('rmdir /A/C', (recorder) => recorder.rmdir('/A/C')),
  ...(
    [
      ['/foo', '/bar'],
      ['/foo', '/A/bar'],
      ['/foo', '/A/foo'],
      ['/A/foo', '/foo'],
      ['/A/foo', '/A/bar'],
      ['/B/foo', '/A/foo'],
      ['/bar', '/foo'],
      ['/A', '/D'],
      ['/A/C', '/B/C'],
      ['/B', '/A/C'],
    ] as const
  ).map(([from, to]) => operation(`rename ${from} ${to}`, (recorder) => recorder.rename(from, to))),
  ...(
    [
      ['/foo', '/A/foo'],
      ['/A/foo', '/B/foo'],
      ['/A', '/B'],
      ['/A/C', '/foo'],
    ] as const
  ).map(([left, right]) =>
    operation(`exchange ${left} ${right}`, (recorder) => recorder.exchange(left, right)),
  ),
  ...(
    [
      ['/foo', '/bar'],
      ['/A/foo', '/B/foo'],
      ['/A/C', '/B/C'],
    ] as const
  ).map(([from, to]) => operation(`white out ${from} ${to}`, (recorder) => recorder.whiteOut(from, to))),
  operation('chmod /A/foo', (recorder) => recorder.chmod('/A/foo', 0o600)),
  ...['/bar', '/A/C/bar'].map((path) =>
    operation(`link unnamed ${path}`, (recorder) => recorder.linkUnnamed(path, 3000)),
  ),
  operation('link unnamed to a taken name', (recorder) => recorder.linkUnnamed('/foo', 3000)),
  operation('set flags /A/foo', (recorder) => recorder.setFlags('/A/foo', FileFlag.noDump)),
  operation('set flags /A and create', async (recorder) => {
    await recorder.setFlags('/A', FileFlag.noDump | FileFlag.noAccessTime);
    await recorder.create('/A/bar');
  }),
  operation('unlink /foo held', async (recorder) => {
    const letGo = await recorder.unlinkHeld('/foo');
    letGo();
  }),
];

function dataOperations(path: string): CrashOperation[] {
  const size = (recorder: Recorder) => {
    const node = recorder.model.names.get(path);
    return node ? recorder.model.largestSize(node.id) : 0;
  };
  const block = (recorder: Recorder) => recorder.volume.blockBytes;
  return [
    operation(`overwrite ${path}`, (recorder) => recorder.write(path, 0, block(recorder))),
    operation(`overwrite inside ${path}`, (recorder) => recorder.write(path, 37, 200)),
    operation(`overwrite across ${path}`, (recorder) =>
      recorder.write(path, block(recorder) - 300, block(recorder)),
    ),
    operation(`append ${path}`, (recorder) => recorder.write(path, size(recorder), 500)),
    operation(`append blocks ${path}`, (recorder) =>
      recorder.write(path, size(recorder), 3 * block(recorder) + 50),
    ),
    operation(`append early ${path}`, (recorder) =>
      recorder.write(path, size(recorder), 900, { early: true }),
    ),
    operation(`overwrite early ${path}`, (recorder) =>
      recorder.write(path, 200, 2 * block(recorder), { early: true }),
    ),
    operation(`overwrite keeping times ${path}`, (recorder) =>
      recorder.write(path, 100, block(recorder), { keepTimes: true }),
    ),
    operation(`write behind ${path}`, (recorder) => recorder.write(path, 9 * block(recorder) + 77, 1000)),
    operation(`truncate 0 ${path}`, (recorder) => truncateQuiet(recorder, path, 0)),
    operation(`truncate 70 ${path}`, (recorder) => truncateQuiet(recorder, path, 70)),
    operation(`truncate in block ${path}`, (recorder) =>
      truncateQuiet(recorder, path, block(recorder) + 130),
    ),
    operation(`preallocate ${path}`, async (recorder) => {
      if (!recorder.isQuiet(path)) await recorder.sync();
      await recorder.preallocate(path, 5 * block(recorder) + 5);
    }),
    operation(`preallocate and write ${path}`, async (recorder) => {
      if (!recorder.isQuiet(path)) await recorder.sync();
      const end = size(recorder);
      await recorder.preallocate(path, 6 * block(recorder));
      await recorder.write(path, end + 2 * block(recorder) + 100, block(recorder));
    }),
    operation(`punch in blocks ${path}`, (recorder) =>
      recorder.clear(path, 'punch', 90, 2 * block(recorder)),
    ),
    operation(`punch to the end ${path}`, (recorder) =>
      recorder.clear(path, 'punch', block(recorder), 40 * block(recorder)),
    ),
    operation(`zero ${path}`, (recorder) => recorder.clear(path, 'zero', 0, 2 * block(recorder) + 300)),
    operation(`zero and write ${path}`, async (recorder) => {
      await recorder.clear(path, 'zero', block(recorder), 3 * block(recorder));
      await recorder.write(path, block(recorder) + 400, block(recorder), { early: true });
    }),
    operation(`keep space and append ${path}`, async (recorder) => {
      await recorder.keepSpace(path, 0, 6 * block(recorder));
      await recorder.write(path, size(recorder), 2 * block(recorder), { early: true });
    }),
    operation(`keep space and truncate ${path}`, async (recorder) => {
      await recorder.keepSpace(path, 3 * block(recorder), 3 * block(recorder));
      await truncateQuiet(recorder, path, 4 * block(recorder) + 9);
    }),
    ...rangeOperations(path, size),
    operation(`truncate up ${path}`, (recorder) => truncateQuiet(recorder, path, 7 * block(recorder) + 5)),
  ];
}

/** Copies of ranges, and ranges taken out and put in: whole blocks, and what is not. */
function rangeOperations(path: string, size: (recorder: Recorder) => number): CrashOperation[] {
  const other = path === '/foo' ? '/B/foo' : '/foo';
  const block = (recorder: Recorder) => recorder.volume.blockBytes;
  return [
    operation(`copy all of ${other} to ${path}`, async (recorder) => {
      await settle(recorder, path, other);
      await recorder.copy({ path: other, offsetBytes: 0, lengthBytes: 1e6 }, path, 0);
    }),
    operation(`copy a part of ${path} behind its end`, async (recorder) => {
      await settle(recorder, path);
      const lengthBytes = block(recorder) + 200;
      await recorder.copy({ path, offsetBytes: 40, lengthBytes }, path, size(recorder) + 77);
    }),
    operation(`collapse ${path}`, async (recorder) => {
      await settle(recorder, path);
      await recorder.shift(path, 'collapse', 0, block(recorder));
    }),
    operation(`insert into ${path}`, async (recorder) => {
      await settle(recorder, path);
      await recorder.shift(path, 'insert', block(recorder), 2 * block(recorder));
    }),
  ];
}

async function settle(recorder: Recorder, ...paths: string[]): Promise<void> {
  if (!paths.every((path) => recorder.isQuiet(path))) await recorder.sync();
}

/** A truncation behind an early write has to wait until that is known to be over. */
async function truncateQuiet(recorder: Recorder, path: string, sizeBytes: number): Promise<void> {
  if (!recorder.isQuiet(path)) await recorder.sync();
  await recorder.truncate(path, sizeBytes);
}

/** In the inode and in blocks, and from the one to the other. */
function attributeOperations(path: string): CrashOperation[] {
  return [
    operation(`set a small attribute ${path}`, (recorder) => recorder.setAttribute(path, 'user.a', 30)),
    operation(`set a large attribute ${path}`, (recorder) => recorder.setAttribute(path, 'user.b', 1300)),
    operation(`remove attributes ${path}`, async (recorder) => {
      await recorder.removeAttribute(path, 'user.b');
      await recorder.removeAttribute(path, 'user.a');
    }),
  ];
}

/** In the inode and in a block; with chmod, and with what is made below, in any order. */
const ACL_OPERATIONS: CrashOperation[] = [
  ...['/A', '/A/foo'].map((path) =>
    operation(`set an access ACL ${path}`, (recorder) => recorder.setAcl(path, 'access', 3)),
  ),
  operation('set a long access ACL /A/foo', (recorder) => recorder.setAcl('/A/foo', 'access', 40)),
  ...[2, 40].map((users) =>
    operation(`set a default ACL of ${users} users /A`, (recorder) =>
      recorder.setAcl('/A', 'default', users),
    ),
  ),
  operation('mkdir /A/D', (recorder) => recorder.mkdir('/A/D')),
  operation('remove the ACLs /A', async (recorder) => {
    await recorder.removeAttribute('/A', 'system.posix_acl_default');
    await recorder.removeAttribute('/A', 'system.posix_acl_access');
  }),
];

/** By less than all that there is, so that it can be done again. */
const GROWN_BYTES = 40 * 1024;

export const OPERATIONS: readonly CrashOperation[] = [
  ...NAME_OPERATIONS,
  ...FILES.flatMap(dataOperations),
  ...['/foo', '/A/foo', '/A'].flatMap(attributeOperations),
  ...ACL_OPERATIONS,
  operation('grow', (recorder) => recorder.grow(GROWN_BYTES)),
  operation('shrink', async (recorder) => {
    await recorder.unlink('/filler');
    await recorder.shrink(GROWN_BYTES);
  }),
  ...FILES.map((path) =>
    operation(`defragment ${path}`, async (recorder) => {
      await recorder.unlink('/filler');
      await recorder.defragment(path);
    }),
  ),
  operation('trim beside a write', async (recorder) => {
    await recorder.unlink('/filler');
    await recorder.sync();
    const trimmed = recorder.trim();
    await recorder.write('/A/foo', 0, 9 * recorder.volume.blockBytes);
    await trimmed;
  }),
];
