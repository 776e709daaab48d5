/** Steps on ranges of files: fallocate, copies from file to file, and a look for data and holes. */
import { constants } from 'node:fs';
import { LEFT_COPY_BYTES } from '../../src/fuse/limits.ts';
import { MOST_BYTES } from './content.ts';
import { closeTarget, openTarget, type Target } from './content-steps.ts';
import { type Inode, NotApplicable } from './model.ts';
import type { Span } from './moment.ts';
import { SECTOR_BYTES } from './observe.ts';
import type { Planner } from './planner.ts';
import { ALONE, Difference, PASSING_SLOT, ROOT_USER, type Stage, type Step } from './stage.ts';

const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const ZERO_RANGE = 16;
const MODES = [0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE];
/** What ends before this may lie in the inode. */
const INLINE_BYTES = 400;
const UNITS = [1, 1, 4096, 65_536];

interface Place {
  readonly worker: number;
  readonly target: Target;
  readonly inode: Inode;
  readonly text: string;
}

/** A file that is held open, or one to be opened. */
function placeOf(planner: Planner): Place | undefined {
  const held = planner.random.chance(0.5) ? planner.pickHeld() : undefined;
  if (held) {
    const { worker, slot, inode } = held;
    return { worker, target: { slot }, inode, text: `slot ${slot}` };
  }
  const found = planner.pick('file');
  if (!found) return undefined;
  const { path, inode } = found;
  return { worker: planner.worker(), target: { path, flags: constants.O_RDWR }, inode, text: path };
}

function claimsOf(planner: Planner, { worker, target, inode }: Place): Map<string, string> {
  const claims = new Map([[`inode ${inode.id}`, ALONE]]);
  claims.set(`slot ${worker}:${'slot' in target ? target.slot : PASSING_SLOT}`, ALONE);
  if (target.path !== undefined)
    claims.set(`inode ${planner.model.place(target.path).directory.id}`, 'names');
  return claims;
}

/** A range that ends within the longest file. */
function rangeOf(planner: Planner, size: number): { offset: number; length: number } {
  const unit = planner.random.pick(UNITS);
  const length = Math.ceil(planner.length() / unit) * unit;
  return { offset: planner.offset(size, length, unit), length };
}

/** Gives space, makes holes, or makes zeros, with and without moving the end. */
export function changeRange(planner: Planner): Step | undefined {
  const place = placeOf(planner);
  if (!place) return undefined;
  const { offset, length } = rangeOf(planner, place.inode.size);
  const mode = planner.random.pick(MODES);
  const user = planner.user(place.target.path === undefined);
  if (offset + length > MOST_BYTES) return undefined;
  return {
    text: `fallocate ${place.text}, mode ${mode}, ${length} bytes at ${offset}${user === ROOT_USER ? '' : ` by user ${user.uid}`}`,
    worker: place.worker,
    claims: claimsOf(planner, place),
    async perform(stage) {
      const { inode, slot } = await openTarget(stage, place.worker, ROOT_USER, place.target);
      const { window } = await stage.call(place.worker, user, 'fallocate', slot, mode, offset, length);
      changeModel(inode, mode, offset, length);
      inode.dropSetIds(user);
      inode.contentChanged(window, stage.batch);
      await closeTarget(stage, place.worker, inode, place.target);
    },
  };
}

function changeModel({ content }: Inode, mode: number, offset: number, length: number): void {
  if ((mode & KEEP_SIZE) === 0 && offset + length > content.size) content.truncate(offset + length);
  if ((mode & PUNCH_HOLE) !== 0) {
    content.punch(offset, length);
    return;
  }
  if ((mode & ZERO_RANGE) !== 0) content.zero(offset, length);
  // What fits into an inode takes no block.
  if (offset + length <= INLINE_BYTES) content.perhapsAllocate(offset, length);
  else content.allocate(offset, length);
}

/** From a file that is held open to one that is opened for it; perhaps the same one. */
export function copyRange(planner: Planner): Step | undefined {
  const source = planner.pickHeld((held) => held.slot !== PASSING_SLOT);
  const found = planner.pick('file');
  if (!source || !found) return undefined;
  const { worker, slot } = source;
  const { path } = found;
  const [from, to] = [rangeOf(planner, source.inode.size), rangeOf(planner, found.inode.size)];
  const { length } = from;
  const target: Target = { path, flags: constants.O_RDWR };
  if (to.offset + length > MOST_BYTES) return undefined;
  return {
    text: `copy ${length} bytes from ${from.offset} of slot ${slot} to ${to.offset} of ${path}`,
    worker,
    claims: new Map([
      ...claimsOf(planner, { worker, target, inode: found.inode, text: path }),
      [`inode ${source.inode.id}`, ALONE],
      [`slot ${worker}:${slot}`, ALONE],
    ]),
    async perform(stage) {
      const held = stage.heldAt(worker, slot);
      const isSame = held.inode === stage.model.at(path, 'file');
      if (isSame && Math.abs(from.offset - to.offset) < length) throw new NotApplicable('they overlap');
      const bytes = held.inode.content.slice(from.offset, length).length;
      const isAligned = from.offset % SECTOR_BYTES === 0 && bytes % SECTOR_BYTES === 0;
      if (stage.mount.copiesThroughCache && held.isDirect && !isAligned)
        throw new NotApplicable('a direct read must be aligned');
      const { inode } = await openTarget(stage, worker, ROOT_USER, target);
      stage.touch(worker, held.inode);
      const data = Buffer.from(held.inode.content.slice(from.offset, length));
      const answer = await stage.call(
        worker,
        ROOT_USER,
        'copy',
        slot,
        PASSING_SLOT,
        from.offset,
        to.offset,
        length,
      );
      if (Number(answer.words[0]) !== data.length)
        throw new Difference('content', `copied ${answer.words[0]} bytes, expected ${data.length}`, inode);
      wasCopied(stage, held.inode, inode, data.length, answer.window);
      if (data.length > 0) copied(stage, inode, to.offset, data, answer.window);
      await closeTarget(stage, worker, inode, target);
    },
  };
}

/**
 * A copy through a cache reads the source; one by the filesystem itself need not call it a read. A
 * short whole file is left to the kernel, which reads pages of the target to write a part of them.
 */
function wasCopied(stage: Stage, source: Inode, target: Inode, bytes: number, window: Span): void {
  const { batch, mount } = stage;
  source.wasRead(mount.accessRule, window, batch, false);
  const isLeft = bytes === source.size && bytes <= LEFT_COPY_BYTES;
  if (!mount.copiesThroughCache && !isLeft) return;
  source.wasReadThroughCache();
  source.isCold = false;
  target.wasReadToWrite(mount.accessRule, window, batch);
}

function copied(stage: Stage, inode: Inode, offset: number, data: Buffer, window: Span): void {
  inode.content.write(offset, data);
  // Holes of the source are holes in it.
  inode.content.perhapsAllocate(offset, data.length);
  inode.contentChanged(window, stage.batch);
}

/** Nothing but zeros is outside of what is said to be data. */
export function seekAll(planner: Planner): Step | undefined {
  const place = placeOf(planner);
  if (!place) return undefined;
  return {
    text: `seek through ${place.text}`,
    worker: place.worker,
    claims: claimsOf(planner, place),
    async perform(stage) {
      const { inode, slot } = await openTarget(stage, place.worker, ROOT_USER, place.target);
      const { words } = await stage.call(place.worker, ROOT_USER, 'seek', slot);
      let before = 0;
      for (const stretch of [...words, `${inode.size}-${inode.size}`]) {
        const [from = 0, to = 0] = stretch.split('-').map(Number);
        const lost = inode.content.firstData(before, from);
        if (lost >= 0) throw new Difference('content', `data at ${lost}, in a hole up to ${from}`, inode);
        before = to;
      }
      if (before > inode.size) throw new Difference('content', `data up to ${before}`, inode);
      await closeTarget(stage, place.worker, inode, place.target);
    },
  };
}
