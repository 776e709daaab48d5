/** Steps that change or read the bytes of files, by every way there is. */
import { constants } from 'node:fs';
import { pattern } from './content.ts';
import { type Held, type Inode, type Model, NotApplicable, SET_GROUP, SET_USER } from './model.ts';
import { freeSlot, hold } from './name-steps.ts';
import { checkRead, flagsOf, READ_WAYS, SECTOR_BYTES } from './observe.ts';
import { OTHER_USER, type Planner } from './planner.ts';
import { ALONE, type Claims, heldKey, PASSING_SLOT, ROOT_USER, type Stage, type Step } from './stage.ts';
import type { User } from './worker.ts';

/** Parts of a file that writers of one batch share out. */
const SHARE_BYTES = 65_536;
/** Pieces of a request to libaio or io_uring. */
const PIECES = [0, 4096, 16_384];
export type Syncing = '' | 'fsync' | 'fdatasync' | 'sync_range' | 'syncfs' | 'forget_pages';

/** Where a step finds its file: by a path, opened for it, or in a slot that holds it open. */
export type Target = { path: string; flags: number } | { slot: number; path?: undefined };

export interface WriteArguments {
  readonly worker: number;
  readonly user: User;
  readonly target: Target;
  readonly how: 'buffered' | 'append' | 'mmap' | 'aio' | 'uring';
  readonly isDirect: boolean;
  readonly offset: number;
  readonly length: number;
  readonly pieceBytes: number;
  readonly syncing: Syncing;
  readonly number: number;
}

function targetText(target: Target): string {
  return 'slot' in target
    ? `slot ${target.slot}`
    : `${target.path}, opened with flags 0${target.flags.toString(8)}`;
}

/** Claims on a file whose bytes are used: shared by those who use it in the same way. */
function fileClaims(inode: Inode, manner: string, worker: number, slot: number): Map<string, string> {
  return new Map([
    [`inode ${inode.id}`, manner],
    [`slot ${worker}:${slot}`, ALONE],
  ]);
}

function writeClaims(planner: Planner, inode: Inode, a: WriteArguments): Claims {
  const slot = 'slot' in a.target ? a.target.slot : PASSING_SLOT;
  const isShared = a.how !== 'append' && a.user === ROOT_USER;
  const manner = isShared ? `written ${a.isDirect ? 'direct' : 'cached'}` : ALONE;
  const claims = fileClaims(inode, manner, a.worker, slot);
  // A name must not go before it was opened by it.
  if (a.target.path !== undefined)
    claims.set(`inode ${planner.model.place(a.target.path).directory.id}`, 'names');
  const last = Math.floor((a.offset + a.length - 1) / SHARE_BYTES);
  for (let share = Math.floor(a.offset / SHARE_BYTES); share <= last; share++) {
    claims.set(`share ${share} of inode ${inode.id}`, ALONE);
  }
  return claims;
}

/** One write: the file held open or opened for it, by any way, synced or not. */
export function write(planner: Planner): Step | undefined {
  const { random } = planner;
  const held = random.chance(0.5) ? planner.pickHeld() : undefined;
  const found = held ? undefined : planner.pick('file');
  const inode = held?.inode ?? found?.inode;
  if (!inode) return undefined;
  const isDirect = held ? held.isDirect : random.chance(0.4);
  const isAppend = held ? held.isAppend : random.chance(0.15);
  const how = pickHow(planner, inode, isAppend);
  const unit = isDirect && how !== 'mmap' ? SECTOR_BYTES : 1;
  if (how === 'append' && inode.size % unit !== 0) return undefined;
  const length = lengthFor(planner, inode, how, unit);
  const offset = offsetFor(planner, inode, how, unit, length);
  if (length === 0 || offset + length > 1 << 20) return undefined;
  const user = planner.user(mayOther(planner, inode, found?.path, how === 'mmap'));
  const sync = random.pick([0, 0, 0, constants.O_SYNC, constants.O_DSYNC]);
  const flags =
    constants.O_RDWR | sync | (isDirect ? constants.O_DIRECT : 0) | (isAppend ? constants.O_APPEND : 0);
  const pieceBytes = how === 'aio' || how === 'uring' ? random.pick(PIECES) : 0;
  const target = held ? { slot: held.slot } : { path: found?.path ?? '', flags };
  const syncing = random.pick([
    '',
    '',
    '',
    '',
    'fsync',
    'fdatasync',
    'sync_range',
    'syncfs',
    'forget_pages',
  ] as const);
  const number = planner.nextWrite();
  const worker = held?.worker ?? planner.worker();
  return writeStep(planner, inode, {
    worker,
    user,
    target,
    how,
    isDirect,
    offset,
    length,
    pieceBytes,
    syncing,
    number,
  });
}

function pickHow(planner: Planner, inode: Inode, isAppend: boolean): WriteArguments['how'] {
  if (isAppend) return 'append';
  const how = planner.random.pick(['buffered', 'buffered', 'mmap', 'aio', 'uring'] as const);
  return how === 'mmap' && inode.size === 0 ? 'buffered' : how;
}

function lengthFor(planner: Planner, inode: Inode, how: WriteArguments['how'], unit: number): number {
  const length = Math.ceil(planner.length() / unit) * unit;
  return how === 'mmap' ? Math.min(length, inode.size) : length;
}

function offsetFor(
  planner: Planner,
  inode: Inode,
  how: WriteArguments['how'],
  unit: number,
  length: number,
): number {
  if (how === 'append') return inode.size;
  if (how === 'mmap') return planner.random.below(inode.size - length + 1);
  return planner.offset(inode.size, length, unit);
}

/** Whether another user may write it; who has it open may do so whatever its mode says. */
function mayOther(planner: Planner, inode: Inode, path: string | undefined, isMapped: boolean): boolean {
  if (isMapped) return false;
  return path === undefined || (planner.model.reaches(path, OTHER_USER) && inode.may(OTHER_USER, 6));
}

export function writeStep(planner: Planner, inode: Inode, a: WriteArguments): Step {
  const how = `${a.how}${a.isDirect ? ' with O_DIRECT' : ''}${a.pieceBytes ? ` in pieces of ${a.pieceBytes}` : ''}`;
  const by = a.user === ROOT_USER ? '' : ` by user ${a.user.uid}`;
  return {
    text: `write #${a.number} ${a.length} bytes at ${a.offset} of ${targetText(a.target)} ${how}${by}${a.syncing && `, ${a.syncing}`}`,
    worker: a.worker,
    claims: writeClaims(planner, inode, a),
    perform: (stage) => performWrite(stage, a),
  };
}

/** The file and the slot of a target. @throws NotApplicable */
export async function openTarget(
  stage: Stage,
  worker: number,
  user: User,
  target: Target,
): Promise<{ inode: Inode; slot: number; held: Held | undefined }> {
  if ('slot' in target) {
    const held = stage.heldAt(worker, target.slot);
    stage.touch(worker, held.inode);
    return { inode: held.inode, slot: target.slot, held };
  }
  const inode = stage.model.at(target.path, 'file');
  if (!stage.model.reaches(target.path, user) || !inode.may(user, 6)) throw new NotApplicable(target.path);
  stage.touch(worker, inode);
  await stage.open(worker, user, PASSING_SLOT, target.flags, target.path);
  return { inode, slot: PASSING_SLOT, held: undefined };
}

export async function closeTarget(stage: Stage, worker: number, inode: Inode, target: Target): Promise<void> {
  if ('slot' in target) return;
  await flush(stage, inode, () => stage.call(worker, ROOT_USER, 'close', PASSING_SLOT));
}

/**
 * A call that hands over all that was written to the file, but for what goes through a mapping that
 * stays, and what somebody writes meanwhile.
 */
async function flush(stage: Stage, inode: Inode, call: () => Promise<unknown>): Promise<void> {
  const { writesBegun, writesUnderWay } = inode;
  await call();
  if (writesUnderWay > 0 || inode.writesBegun > writesBegun) return;
  const isMapped = stage.model.allHeld().some((held) => held.inode === inode && held.mappedBytes > 0);
  if (!isMapped) inode.mayBeUnflushed = false;
  inode.sizeMayBeUnflushed = false;
}

async function performWrite(stage: Stage, a: WriteArguments): Promise<void> {
  if (a.how === 'mmap' || a.how === 'append') demandFits(stage, a);
  const { inode, slot } = await openTarget(stage, a.worker, a.user, a.target);
  const offset = a.how === 'append' ? inode.size : a.offset;
  const data = pattern(a.number, offset, a.length);
  if (growsThroughCache(inode, offset, a)) await sync(stage, a.worker, inode, slot, 'fdatasync');
  stage.worker(a.worker).put(data);
  const { how, length, pieceBytes } = a;
  inode.writesBegun++;
  inode.writesUnderWay++;
  const answer = await stage.call(a.worker, a.user, 'write', slot, how, offset, length, pieceBytes);
  inode.writesUnderWay--;
  demandWhole(Number(answer.words[0]), length);
  if (!a.isDirect && offset + length > inode.size) inode.sizeMayBeUnflushed = true;
  inode.content.write(offset, data);
  // A mapping is an access, and the rest of a page that is written in part may have to be read.
  inode.wasReadToWrite(stage.mount.accessRule, answer.window, stage.batch);
  inode.contentChanged(answer.window, stage.batch);
  if (how !== 'mmap') inode.dropSetIds(a.user);
  if (how === 'mmap' || !a.isDirect) inode.mayBeUnflushed = true;
  await sync(stage, a.worker, inode, slot, a.syncing);
  await closeTarget(stage, a.worker, inode, a.target);
}

/**
 * By a write that takes set-user-id or set-group-id away. Where the page at the old end is dirty and
 * is written back in that moment, Linux 6.18 may clear what such a write has just put behind the end
 * (docs/DESIGN.md, "Set-user-id and the writes of others"): no filesystem under FUSE can help it.
 */
function growsThroughCache(
  inode: Inode,
  offset: number,
  { user, isDirect, length }: WriteArguments,
): boolean {
  const dropsIds = user.uid !== ROOT_USER.uid && (inode.mode & (SET_USER | SET_GROUP)) !== 0;
  return dropsIds && !isDirect && offset + length > inode.size;
}

function demandFits(stage: Stage, { how, worker, target, offset, length, isDirect }: WriteArguments): void {
  const inode =
    'slot' in target ? stage.heldAt(worker, target.slot).inode : stage.model.at(target.path, 'file');
  const fits = how === 'mmap' ? offset + length <= inode.size : !isDirect || inode.size % SECTOR_BYTES === 0;
  if (!fits) throw new NotApplicable(`${how} at ${offset}`);
}

function demandWhole(done: number, length: number): void {
  if (done !== length) throw new Error(`wrote ${done} of ${length} bytes`);
}

export async function sync(
  stage: Stage,
  worker: number,
  inode: Inode,
  slot: number,
  how: Syncing,
): Promise<void> {
  if (!how) return;
  const call = () => stage.call(worker, ROOT_USER, how, slot);
  // Of writes that nobody waits for by this file's own sync, the kernel hears a moment later.
  if (how === 'fsync' || how === 'fdatasync') await flush(stage, inode, call);
  else await call();
}

/** Opens a file and keeps it open, perhaps cutting it to nothing. */
export function openFile(planner: Planner): Step | undefined {
  const found = planner.pick('file');
  const worker = planner.worker();
  const slot = freeSlot(planner, worker);
  if (!found || slot === undefined) return undefined;
  const { random } = planner;
  const [isDirect, isAppend, cuts] = [random.chance(0.35), random.chance(0.15), random.chance(0.15)];
  const more = (isDirect ? constants.O_DIRECT : 0) | (isAppend ? constants.O_APPEND : 0);
  const flags =
    constants.O_RDWR | more | (cuts ? constants.O_TRUNC : 0) | random.pick([0, 0, constants.O_SYNC]);
  const { path } = found;
  return {
    text: `open ${path} with flags 0${flags.toString(8)}, held in slot ${slot}`,
    worker,
    claims: new Map([
      ...fileClaims(found.inode, ALONE, worker, slot),
      [`inode ${planner.model.place(path).directory.id}`, 'names'],
    ]),
    async perform(stage) {
      const inode = stage.model.at(path, 'file');
      if (stage.model.held.has(heldKey(worker, slot))) throw new NotApplicable(`slot ${slot}`);
      if (cuts && isMapped(stage.model, inode)) throw new NotApplicable('a mapping would lose its file');
      stage.touch(worker, inode);
      const { window } = await stage.open(worker, ROOT_USER, slot, flags, path);
      hold(stage, worker, slot, inode, isDirect, isAppend, path);
      if (!cuts) return;
      inode.content.truncate(0);
      inode.contentChanged(window, stage.batch);
    },
  };
}

export function closeFile(planner: Planner): Step | undefined {
  const held = planner.pickHeld();
  if (!held) return undefined;
  const { worker, slot } = held;
  return {
    text: `close slot ${slot}`,
    worker,
    claims: fileClaims(held.inode, ALONE, worker, slot),
    async perform(stage) {
      const found = stage.heldAt(worker, slot);
      stage.touch(worker, found.inode);
      await stage.closeHeld(found);
    },
  };
}

export function syncFile(planner: Planner): Step | undefined {
  const held = planner.pickHeld();
  if (!held) return undefined;
  const { worker, slot } = held;
  const how = planner.random.pick(['fsync', 'fdatasync', 'sync_range', 'syncfs', 'forget_pages'] as const);
  return {
    text: `${how} of slot ${slot}`,
    worker,
    claims: fileClaims(held.inode, ALONE, worker, slot),
    async perform(stage) {
      const { inode } = stage.heldAt(worker, slot);
      stage.touch(worker, inode);
      await sync(stage, worker, inode, slot, how);
    },
  };
}

function isMapped(model: Model, inode: Inode): boolean {
  return model.allHeld().some((held) => held.inode === inode && held.mappedBytes > 0);
}

/** Cuts or lengthens a file, by its path or where it is open; perhaps as another user. */
export function truncate(planner: Planner): Step | undefined {
  const { random } = planner;
  const held = random.chance(0.5) ? planner.pickHeld() : undefined;
  const found = held ? undefined : planner.pick('file');
  const inode = held?.inode ?? found?.inode;
  if (!inode) return undefined;
  const size = planner.newSize(inode.size);
  const user = planner.user(mayOther(planner, inode, found?.path, false));
  const worker = held?.worker ?? planner.worker();
  const where = held ? `slot ${held.slot}` : (found?.path ?? '');
  const claims = fileClaims(inode, ALONE, worker, held?.slot ?? PASSING_SLOT);
  if (found) claims.set(`inode ${planner.model.place(found.path).directory.id}`, 'names');
  return {
    text: `truncate ${where} to ${size}${user === ROOT_USER ? '' : ` by user ${user.uid}`}`,
    worker,
    claims,
    perform: (stage) =>
      performTruncate(stage, worker, user, held ? { slot: held.slot } : { path: where, flags: 0 }, size),
  };
}

async function performTruncate(
  stage: Stage,
  worker: number,
  user: User,
  target: Target,
  size: number,
): Promise<void> {
  const isHeld = 'slot' in target;
  const inode = isHeld ? stage.heldAt(worker, target.slot).inode : stage.model.at(target.path, 'file');
  const mayReach = isHeld || (stage.model.reaches(target.path, user) && inode.may(user, 2));
  if (!mayReach || isMapped(stage.model, inode)) throw new NotApplicable('truncate');
  stage.touch(worker, inode);
  const [verb, where] = isHeld ? ['ftruncate', target.slot] : ['truncate', target.path];
  const { window } = await stage.call(worker, user, verb, where, size);
  const isSame = size === inode.size;
  inode.content.truncate(size);
  inode.dropSetIds(user);
  inode.disturb();
  // truncate(2) to the size that it has need not stamp.
  if (isHeld || !isSame) return inode.contentChanged(window, stage.batch);
  inode.modified.perhaps(window, stage.batch);
  inode.changed.perhaps(window, stage.batch);
}

/** Maps a whole file that is held open; the mapping stays for steps to come. */
export function map(planner: Planner): Step | undefined {
  const held = planner.pickHeld((candidate) => candidate.mappedBytes === 0 && candidate.inode.size > 0);
  if (!held) return undefined;
  const { worker, slot } = held;
  const bytes = held.inode.size;
  return {
    text: `map ${bytes} bytes of slot ${slot}`,
    worker,
    claims: fileClaims(held.inode, ALONE, worker, slot),
    async perform(stage) {
      const found = stage.heldAt(worker, slot);
      if (found.mappedBytes || found.inode.size < bytes) throw new NotApplicable('map');
      stage.touch(worker, found.inode);
      const { window } = await stage.call(worker, ROOT_USER, 'map', slot, bytes);
      found.mappedBytes = bytes;
      found.inode.wasReadThroughCache();
      found.inode.wasRead(stage.mount.accessRule, window, stage.batch, false);
      found.inode.isCold = false;
    },
  };
}

/**
 * Stores through a mapping that stays; times move at the first store into a page, or have moved.
 */
export function store(planner: Planner): Step | undefined {
  const held = planner.pickHeld((candidate) => candidate.mappedBytes > 0);
  if (!held) return undefined;
  const { worker, slot } = held;
  const length = Math.min(planner.length(), held.mappedBytes);
  const offset = planner.random.below(held.mappedBytes - length + 1);
  const number = planner.nextWrite();
  const syncs = planner.random.chance(0.3);
  return {
    text: `store #${number} ${length} bytes at ${offset} of the mapping of slot ${slot}${syncs ? ', msync' : ''}`,
    worker,
    claims: fileClaims(held.inode, ALONE, worker, slot),
    async perform(stage) {
      const { inode, mappedBytes } = stage.heldAt(worker, slot);
      if (mappedBytes < offset + length) throw new NotApplicable('store');
      stage.touch(worker, inode);
      const data = pattern(number, offset, length);
      stage.worker(worker).put(data);
      const { window } = await stage.call(worker, ROOT_USER, 'store', slot, offset, length);
      inode.content.write(offset, data);
      // A page that is not there is read first.
      inode.wasReadToWrite(stage.mount.accessRule, window, stage.batch);
      inode.disturb();
      inode.mayBeUnflushed = true;
      inode.modified.perhaps(window, stage.batch);
      inode.changed.perhaps(window, stage.batch);
      if (syncs) await stage.call(worker, ROOT_USER, 'msync', slot);
    },
  };
}

/** Reads a part of a file in one of all ways, and compares. */
export function read(planner: Planner): Step | undefined {
  const { random } = planner;
  const held = random.chance(0.4) ? planner.pickHeld() : undefined;
  const found = held ? undefined : planner.pick('file');
  const inode = held?.inode ?? found?.inode;
  if (!inode) return undefined;
  const ways = READ_WAYS.filter(
    (way) => !held || way === 'mmap' || way.startsWith('direct') === held.isDirect,
  );
  const way = random.pick(ways);
  const unit = way.startsWith('direct') ? SECTOR_BYTES : 1;
  const length = Math.ceil(planner.length() / unit) * unit;
  const offset = Math.floor(random.below(inode.size + 1) / unit) * unit;
  const worker = held?.worker ?? planner.worker();
  const target = held ? { slot: held.slot } : { path: found?.path ?? '', flags: flagsOf(way) };
  const claims = fileClaims(inode, 'read', worker, held?.slot ?? PASSING_SLOT);
  if (found) claims.set(`inode ${planner.model.place(found.path).directory.id}`, 'names');
  return {
    text: `read ${length} bytes at ${offset} of ${targetText(target)} ${way}`,
    worker,
    claims,
    async perform(stage) {
      const { inode: file, slot } = await openTarget(stage, worker, ROOT_USER, target);
      const name = target.path ?? `slot ${slot}`;
      if (offset <= file.size) await checkRead(stage, worker, file, name, slot, way, offset, length);
      if (target.path !== undefined) await stage.call(worker, ROOT_USER, 'close', slot);
    },
  };
}
