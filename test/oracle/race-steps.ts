/**
 * Readers of a file while others write it: afterwards, and from then on, everybody reads what was
 * written.
 *
 * What a reader gets meanwhile may be old or new, byte by byte; nothing else may come of it. What
 * it leaves in the kernel's cache must not stay there in place of what was written directly.
 */
import { constants } from 'node:fs';
import { pattern } from './content.ts';
import { type Inode, NotApplicable } from './model.ts';
import { checkFile, checkRead } from './observe.ts';
import type { Planner } from './planner.ts';
import { CHECK_SLOT, Difference, PASSING_SLOT, ROOT_USER, type Stage, type Step } from './stage.ts';
import type { Answer } from './worker.ts';

const LEAST_BYTES = 65_536;
const READS_PER_CALL = 20;
const WRITES = 20;

interface Race {
  readonly path: string;
  readonly how: 'buffered' | 'aio' | 'uring';
  readonly pieceBytes: number;
  readonly offset: number;
  readonly length: number;
  /** Numbers of the writes, one after the other. */
  readonly writes: number[];
  readonly readers: ('buffered' | 'mmap')[];
}

export function race(planner: Planner): Step | undefined {
  const found = planner.pick('file');
  if (!found || found.inode.size < LEAST_BYTES || planner.stage.workers.length < 2) return undefined;
  const { random } = planner;
  const ways = planner.stage.compares('direct-aio')
    ? (['buffered', 'aio', 'uring'] as const)
    : (['buffered'] as const);
  const length = random.pick([16_384, 65_536, 131_072]);
  const most = Math.floor((found.inode.size - Math.min(length, found.inode.size)) / 4096);
  const a: Race = {
    path: found.path,
    how: random.pick(ways),
    pieceBytes: random.pick([4096, 16_384]),
    offset: random.below(most + 1) * 4096,
    length: Math.min(length, Math.floor(found.inode.size / 512) * 512),
    writes: Array.from({ length: WRITES }, () => planner.nextWrite()),
    readers: planner.stage.workers.slice(1).map(() => random.pick(['buffered', 'buffered', 'mmap'] as const)),
  };
  return {
    text: `race on ${a.path}: ${a.length} bytes at ${a.offset} written ${a.writes.length} times ${a.how} with O_DIRECT in pieces of ${a.pieceBytes}, read meanwhile: ${a.readers.join(', ')}`,
    worker: 0,
    claims: undefined,
    perform: (stage) => performRace(stage, a),
  };
}

async function performRace(stage: Stage, a: Race): Promise<void> {
  const inode = stage.model.at(a.path, 'file');
  if (inode.size < a.offset + a.length) throw new NotApplicable(a.path);
  stage.touch(0, inode);
  const old = Buffer.from(inode.content.slice(a.offset, a.length));
  const possible = [old, ...a.writes.map((number) => pattern(number, a.offset, a.length))];
  const progress = { isOver: false };
  const readers = a.readers.map((way, i) => readMeanwhile(stage, i + 1, inode, a, way, possible, progress));
  const writer = writeAll(stage, inode, a).finally(() => {
    progress.isOver = true;
  });
  const outcomes = await Promise.allSettled([writer, ...readers]);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  await asRace(a, inode, () => checkFile(stage, 1, inode, a.path, 'buffered'));
}

/** A wrong byte after a race is the race's fault. */
async function asRace(a: Race, inode: Inode, check: () => Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    if (!(error instanceof Difference) || error.checkClass !== 'content' || a.how === 'buffered') throw error;
    throw new Difference('direct-aio', error.message, inode);
  }
}

/**
 * When a write has returned, a buffered read gives its bytes, whatever readers have put into the
 * cache meanwhile.
 */
async function writeAll(stage: Stage, inode: Inode, a: Race): Promise<void> {
  await stage.open(0, ROOT_USER, PASSING_SLOT, constants.O_RDWR | constants.O_DIRECT, a.path);
  await stage.open(0, ROOT_USER, CHECK_SLOT, constants.O_RDONLY, a.path);
  for (const number of a.writes) {
    const data = pattern(number, a.offset, a.length);
    stage.worker(0).put(data);
    const { window } = await stage.call(
      0,
      ROOT_USER,
      'write',
      PASSING_SLOT,
      a.how,
      a.offset,
      a.length,
      a.pieceBytes,
    );
    inode.content.write(a.offset, data);
    inode.contentChanged(window, stage.batch);
    await asRace(a, inode, () =>
      checkRead(stage, 0, inode, a.path, CHECK_SLOT, 'buffered', a.offset, a.length),
    );
  }
  await stage.call(0, ROOT_USER, 'close', PASSING_SLOT);
  await stage.call(0, ROOT_USER, 'close', CHECK_SLOT);
}

async function readMeanwhile(
  stage: Stage,
  worker: number,
  inode: Inode,
  a: Race,
  way: 'buffered' | 'mmap',
  possible: Buffer[],
  progress: { isOver: boolean },
): Promise<void> {
  await stage.open(worker, ROOT_USER, CHECK_SLOT, constants.O_RDONLY, a.path);
  do {
    const answer = await stage.call(
      worker,
      ROOT_USER,
      'read',
      CHECK_SLOT,
      way,
      a.offset,
      a.length,
      4096,
      READS_PER_CALL,
    );
    noteRead(stage, inode, answer);
    compareWithAny(stage.worker(worker).take(a.length), possible, inode, a);
  } while (!progress.isOver);
  await stage.call(worker, ROOT_USER, 'close', CHECK_SLOT);
}

function noteRead(stage: Stage, inode: Inode, { window }: Answer): void {
  inode.wasReadThroughCache();
  inode.wasRead(stage.mount.accessRule, window, stage.batch, false);
}

function compareWithAny(seen: Buffer, versions: Buffer[], inode: Inode, a: Race): void {
  const place = seen.findIndex((byte, i) => versions.every((version) => version[i] !== byte));
  if (place < 0) return;
  const shown = JSON.stringify(seen.subarray(place, place + 32).toString('latin1'));
  throw new Difference(
    'content',
    `${a.path}, read while written: byte ${a.offset + place} is of no write: ${shown}`,
    inode,
  );
}
