/**
 * Compares what the mount says with the model: statx, listings, bytes by every way of reading.
 *
 * One comparison serves warm caches, cold ones, and a volume that was mounted again: what was told
 * once is learned by the model, so any later answer that differs is found. statx is asked in narrow
 * questions first, because the kernel answers each field from what it keeps if it takes that for
 * valid, and a full question would mend what is stale.
 */

import { constants } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { contentDifference } from './content.ts';
import { Field, type Held, type Inode, type Kind, SET_GROUP, SET_USER } from './model.ts';
import { type Moment, parseTime, type Span, timeText } from './moment.ts';
import { CHECK_SLOT, type CheckClass, Difference, kindOfType, ROOT_USER, type Stage } from './stage.ts';
import type { Answer } from './worker.ts';

export const ALL_FIELDS = Object.values(Field).reduce((all, bit) => all | bit, 0);
export const READ_WAYS = [
  'buffered',
  'mmap',
  'direct',
  'aio',
  'uring',
  'direct-aio',
  'direct-uring',
] as const;
export type ReadWay = (typeof READ_WAYS)[number];

const TYPE_BITS: Record<Kind, number> = {
  fifo: 0o010000,
  directory: 0o040000,
  file: 0o100000,
  symlink: 0o120000,
};
const FIELDS_PER_ANSWER = 13;
const ESTALE = 116;
const ENOENT = 2;
/** Direct reads end at a multiple of this. */
export const SECTOR_BYTES = 512;

interface Seen {
  mask: number;
  size: bigint;
  blocks: bigint;
  mode: number;
  links: number;
  uid: number;
  gid: number;
  number: bigint;
  accessed: bigint;
  modified: bigint;
  changed: bigint;
  born: bigint;
}

function parseSeen(words: string[]): Seen {
  const text = (at: number) => words[at] ?? '';
  const number = (at: number) => Number(text(at));
  return {
    mask: number(0),
    size: BigInt(text(1)),
    blocks: BigInt(text(2)),
    mode: number(3),
    links: number(4),
    uid: number(5),
    gid: number(6),
    number: BigInt(text(7)),
    accessed: parseTime(text(9)),
    modified: parseTime(text(10)),
    changed: parseTime(text(11)),
    born: parseTime(text(12)),
  };
}

/** One statx answer against the model. */
class Comparison {
  readonly stage: Stage;
  readonly inode: Inode;
  readonly name: string;
  readonly seen: Seen;
  readonly asked: number;
  readonly window: Span;

  constructor(stage: Stage, inode: Inode, name: string, seen: Seen, asked: number, window: Span) {
    this.stage = stage;
    this.inode = inode;
    this.name = name;
    this.seen = seen;
    this.asked = asked;
    this.window = window;
  }

  /** @param isSettled whether counts of blocks cannot change by themselves any more */
  compare(isSettled: boolean): void {
    const { inode, seen } = this;
    this.#mode();
    this.#same(Field.links, 'links', seen.links, inode.links);
    this.#same(Field.uid, 'uid', seen.uid, inode.uid);
    this.#same(Field.gid, 'gid', seen.gid, inode.gid);
    this.#size(isSettled);
    this.#number();
    this.#moment(Field.accessed, 'access', 'time of access', seen.accessed, inode.accessed);
    this.#moment(Field.modified, 'times', 'time of modification', seen.modified, inode.modified);
    this.#moment(Field.changed, 'times', 'time of change', seen.changed, inode.changed);
    if (seen.mask & Field.born) this.#moment(Field.born, 'times', 'time of birth', seen.born, inode.born);
    this.#blocks(isSettled);
  }

  #fail(checkClass: CheckClass, what: string): void {
    if (!this.stage.compares(checkClass)) return;
    throw new Difference(
      checkClass,
      `${this.name}, asked for 0x${this.asked.toString(16)}: ${what}`,
      this.inode,
    );
  }

  #same(field: number, what: string, seen: number | bigint, expected: number | bigint): void {
    if (this.asked & field && seen !== expected)
      this.#fail('attributes', `${what} ${seen}, expected ${expected}`);
  }

  #mode(): void {
    if (!(this.asked & Field.mode)) return;
    const expected = TYPE_BITS[this.inode.kind] | this.inode.mode;
    if (this.seen.mode === expected) return;
    const setIds = SET_USER | SET_GROUP;
    const isOnlySetId = (this.seen.mode & ~setIds) === (expected & ~setIds);
    const what = `mode 0${this.seen.mode.toString(8)}, expected 0${expected.toString(8)}`;
    this.#fail(isOnlySetId ? 'set-id' : 'attributes', what);
  }

  #size(isSettled: boolean): void {
    const { inode, seen } = this;
    if (inode.kind !== 'directory') this.#same(Field.size, 'size', seen.size, BigInt(inode.size));
    else if (inode.directorySize !== undefined) {
      this.#same(Field.size, 'size of the directory', seen.size, inode.directorySize);
    } else if (isSettled && this.asked & Field.size) inode.directorySize = seen.size;
  }

  #number(): void {
    if (!(this.asked & Field.number)) return;
    this.inode.number ??= this.seen.number;
    this.#same(Field.number, 'inode number', this.seen.number, this.inode.number);
  }

  #moment(field: number, checkClass: CheckClass, what: string, seen: bigint, allowed: Moment): void {
    if (!(this.asked & field) || !this.stage.compares(checkClass)) return;
    const isAllowed =
      field === Field.accessed ? allowed.allowsSinceTold(seen, this.#movesUnseen()) : allowed.allows(seen);
    if (!isAllowed)
      this.#fail(
        checkClass,
        `${what} ${timeText(seen)}, expected ${allowed}; told at ${timeText(this.window.from)}`,
      );
    const isCertain = field !== Field.accessed || !this.inode.mayHaveTwoAccessTimes;
    if (isCertain) allowed.learn(seen, this.window.from);
  }

  /**
   * With relatime a read moves the time of access where the file was changed since, and when the
   * kernel hands over the change of a cached write is its own affair. With strictatime every READ
   * does, and those ahead of a caller come when it may have gone on. Until when that may have been;
   * undefined where the rule does not ask for it.
   */
  #movesUnseen(): bigint | undefined {
    const { inode, stage, window } = this;
    const { accessRule } = stage.mount;
    const moves = accessRule === 'relatime' || (accessRule === 'strictatime' && inode.mayBeReadAhead);
    return moves && inode.kind === 'file' ? window.to : undefined;
  }

  #blocks(isSettled: boolean): void {
    const { inode, seen } = this;
    if (!(this.asked & Field.blocks) || !this.stage.compares('blocks')) return;
    if (inode.kind === 'file') {
      const { least, most } = inode.blockBounds(this.stage.mount.blockBytes);
      if (seen.blocks < least || seen.blocks > most) {
        this.#fail('blocks', `${seen.blocks} blocks, expected ${least} to ${Math.ceil(most)}`);
      }
    }
    if (inode.blocks !== undefined && inode.blocks !== seen.blocks) {
      this.#fail('blocks', `${seen.blocks} blocks, but ${inode.blocks} before`);
    }
    if (isSettled) inode.blocks = seen.blocks;
  }
}

/**
 * Narrow questions about one inode, then a full one.
 * @param where its path, or the file that holds it open
 */
export async function checkAttributes(
  stage: Stage,
  worker: number,
  inode: Inode,
  where: string | Held,
  masks: number[],
  isSettled = false,
): Promise<void> {
  const questions = [...masks, ALL_FIELDS];
  stage.touch(worker, inode);
  const answer =
    typeof where === 'string'
      ? await stage.call(worker, ROOT_USER, 'statx', where || '.', ...questions)
      : await stage.call(where.worker, ROOT_USER, 'fstatx', where.slot, ...questions);
  const name = typeof where === 'string' ? where || '.' : where.text;
  questions.forEach((asked, i) => {
    const words = answer.words.slice(i * FIELDS_PER_ANSWER, (i + 1) * FIELDS_PER_ANSWER);
    stage.checks++;
    new Comparison(stage, inode, name, parseSeen(words), asked, answer.window).compare(isSettled);
  });
}

/** Bytes of a file by one way of reading, through a descriptor that is open for it. */
export async function checkRead(
  stage: Stage,
  worker: number,
  inode: Inode,
  name: string,
  slot: number,
  way: ReadWay,
  offset: number,
  length: number,
): Promise<void> {
  const expected = inode.content.slice(
    offset,
    way === 'mmap' ? Math.min(length, inode.size - offset) : length,
  );
  if (way === 'mmap' && expected.length === 0) return;
  stage.touch(worker, inode);
  // A direct read flushes its own range only: behind the end that FUSE's server knows it may be
  // short.
  if (inode.sizeMayBeUnflushed && way.startsWith('direct')) {
    await stage.call(worker, ROOT_USER, 'fdatasync', slot);
    inode.sizeMayBeUnflushed = false;
  }
  const how = way.replace('direct-', '');
  const asked = way === 'mmap' ? expected.length : length;
  const answer = await stage.call(worker, ROOT_USER, 'read', slot, how, offset, asked, 32_768);
  const seen = stage.worker(worker).take(Number(answer.words[0]));
  if (!way.startsWith('direct')) inode.wasReadThroughCache();
  noteRead(stage, inode, answer, expected.length > 0 && (inode.isCold || way.startsWith('direct')));
  stage.checks++;
  const difference = contentDifference(expected, seen, offset);
  if (difference) throw new Difference('content', `${name}, read ${way}: ${difference}`, inode);
}

/**
 * Whether a read is seen by the filesystem at all is known only where nothing is cached; and the
 * filesystem need not have heard of the newest time of modification, by which `relatime` decides,
 * unless all was settled before.
 */
function noteRead(stage: Stage, inode: Inode, answer: Answer, isUncached: boolean): void {
  inode.wasRead(stage.mount.accessRule, answer.window, stage.batch, isUncached && inode.isCold);
  inode.isCold = false;
}

export function flagsOf(way: ReadWay): number {
  return constants.O_RDONLY | (way.startsWith('direct') ? constants.O_DIRECT : 0);
}

/** The whole of a file, opened for it. */
export async function checkFile(
  stage: Stage,
  worker: number,
  inode: Inode,
  path: string,
  way: ReadWay,
): Promise<void> {
  const length = Math.ceil((inode.size + 1) / SECTOR_BYTES) * SECTOR_BYTES;
  await stage.open(worker, ROOT_USER, CHECK_SLOT, flagsOf(way), path);
  await checkRead(stage, worker, inode, path, CHECK_SLOT, way, 0, length);
  await stage.call(worker, ROOT_USER, 'close', CHECK_SLOT);
}

/** The names of a directory with their types and inode numbers. */
export async function checkListing(stage: Stage, worker: number, inode: Inode, path: string): Promise<void> {
  const answer = await stage.call(worker, ROOT_USER, 'list', path || '.');
  stage.touch(worker, inode);
  noteRead(stage, inode, answer, false);
  stage.checks++;
  if (!stage.compares('listing')) return;
  const seen = new Map<string, string>();
  for (const word of answer.words) {
    const [name = '', type, number = ''] = word.split(':');
    if (seen.has(name)) throw new Difference('listing', `${path || '.'}: ${name} is listed twice`, inode);
    seen.set(name, `${kindOfType(Number(type))} ${number}`);
  }
  const expected = new Map<string, Inode>([['.', inode], ...inode.entries]);
  if (inode.parent && stage.compares('parent')) expected.set('..', inode.parent);
  else seen.delete('..');
  compareListings(path || '.', inode, expected, seen);
}

function compareListings(
  path: string,
  directory: Inode,
  expected: Map<string, Inode>,
  seen: Map<string, string>,
): void {
  for (const [name, { kind, number }] of expected) {
    const found = seen.get(name);
    const wanted = `${kind} ${number ?? found?.split(' ')[1]}`;
    if (found !== wanted)
      throw new Difference(
        name === '..' ? 'parent' : 'listing',
        `${path}: ${name} is ${found}, expected ${wanted}`,
        directory,
      );
    seen.delete(name);
  }
  const [more] = seen.keys();
  if (more !== undefined)
    throw new Difference('listing', `${path}: lists ${more}, which is not there`, directory);
}

export async function checkTarget(stage: Stage, worker: number, inode: Inode, path: string): Promise<void> {
  const answer = await stage.call(worker, ROOT_USER, 'readlink', path);
  noteRead(stage, inode, answer, inode.isCold);
  stage.checks++;
  if (answer.words[0] === inode.target) return;
  throw new Difference('content', `${path}: leads to ${answer.words[0]}, expected ${inode.target}`, inode);
}

/** Has the kernel make a handle of each inode, to open it by later. */
export async function noteHandles(stage: Stage): Promise<void> {
  for (const [inode, path] of stage.model.named()) {
    if (inode.handle) continue;
    const { words } = await stage.call(0, ROOT_USER, 'handle', path || '.');
    inode.handle = words.join(' ');
  }
}

/** An inode by its handle, whatever the caches know of it; its attributes must be right. */
export async function checkHandle(stage: Stage, worker: number, inode: Inode, path: string): Promise<void> {
  if (!inode.handle) return;
  const isOpened = inode.kind === 'file' || inode.kind === 'directory';
  const flags = isOpened ? constants.O_RDONLY : 0o10000000;
  const answer = await stage.ask(worker, ROOT_USER, 'open_handle', CHECK_SLOT, flags, inode.handle);
  stage.touch(worker, inode);
  stage.checks++;
  // The kernel finds the names of a directory by reading those above.
  for (let above = inode.parent; above; above = above.parent) noteRead(stage, above, answer, false);
  if (answer.errno) {
    throw new Difference('handle', `${path}: a ${inode.kind} by its handle: errno ${answer.errno}`, inode);
  }
  const here = {
    worker,
    slot: CHECK_SLOT,
    inode,
    isDirect: false,
    isAppend: false,
    text: `${path} by its handle`,
    mappedBytes: 0,
  };
  await checkAttributes(stage, worker, inode, here, []);
  await stage.call(worker, ROOT_USER, 'close', CHECK_SLOT);
}

/** Whoever walks over all inodes of the machine holds one no longer than this. */
const MOST_TRIES = 40;
const BETWEEN_TRIES_MS = 50;

/**
 * The handle of an inode that is gone opens nothing; but a `drop_caches`, of another oracle perhaps,
 * holds each inode for the moment in which it passes by, and who goes away then is there until it
 * has passed.
 */
export async function checkDeadHandle(stage: Stage, worker: number, handle: string): Promise<void> {
  stage.checks++;
  let errno = 0;
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    ({ errno } = await stage.ask(worker, ROOT_USER, 'open_handle', CHECK_SLOT, 0o10000000, handle));
    if (errno !== 0) break;
    await stage.call(worker, ROOT_USER, 'close', CHECK_SLOT);
    await setTimeout(BETWEEN_TRIES_MS);
  }
  if (errno === ESTALE || errno === ENOENT) return;
  throw new Difference('handle', `the handle of a removed inode: errno ${errno}, must be ${ESTALE}`);
}
