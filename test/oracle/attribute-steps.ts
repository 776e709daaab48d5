/** Steps that change or ask attributes: chmod, chown, utimensat, statx, listings. */
import { Field, type Inode, NotApplicable, SET_GROUP, SET_USER } from './model.ts';
import { timeText } from './moment.ts';
import { checkAttributes, checkListing } from './observe.ts';
import type { Planner } from './planner.ts';
import { ALONE, type Claims, ROOT_USER, type Stage, type Step } from './stage.ts';

const UTIME_NOW = 0x3fffffff;
const UTIME_OMIT = 0x3ffffffe;
const NO_CHANGE = 4_294_967_295;
const GIGA = 1_000_000_000n;

function attributeClaims(planner: Planner, path: string, inode: Inode, manner = ALONE): Claims {
  const claims = new Map([[`inode ${inode.id}`, manner]]);
  if (path) claims.set(`inode ${planner.model.place(path).directory.id}`, 'names');
  return claims;
}

export function chmod(planner: Planner): Step | undefined {
  const found = planner.pick('file', 'file', 'directory', 'fifo');
  if (!found) return undefined;
  const { path, inode } = found;
  const worker = planner.worker();
  const ofDirectory = planner.random.pick([0o755, 0o777, 0o700, 0o2775, 0o1777]);
  const mode = inode.kind === 'file' ? planner.fileMode() : ofDirectory & 0o777;
  return {
    text: `chmod ${path} 0${mode.toString(8)}`,
    worker,
    claims: attributeClaims(planner, path, inode),
    async perform(stage) {
      const changed = stage.model.at(path, inode.kind);
      stage.touch(worker, changed);
      const { window } = await stage.call(worker, ROOT_USER, 'chmod', path, mode);
      changed.mode = mode;
      changed.attributesChanged(window, stage.batch);
    },
  };
}

export function chown(planner: Planner): Step | undefined {
  const found = planner.pick();
  if (!found) return undefined;
  const { path, inode } = found;
  const worker = planner.worker();
  const uid = planner.random.pick([0, 1000, 1001, 4_000_000_000, NO_CHANGE]);
  const gid = planner.random.pick([0, 1000, 1001, NO_CHANGE]);
  return {
    text: `chown ${path} ${uid} ${gid}`,
    worker,
    claims: attributeClaims(planner, path, inode),
    async perform(stage) {
      const changed = stage.model.at(path);
      // What that does to the bits is left open by POSIX, and FUSE does not tell it from nothing.
      if (uid === NO_CHANGE && gid === NO_CHANGE && changed.mode & (SET_USER | SET_GROUP)) {
        throw new NotApplicable(path);
      }
      stage.touch(worker, changed);
      const { window } = await stage.call(worker, ROOT_USER, 'chown', path, uid, gid);
      if (uid !== NO_CHANGE) changed.uid = uid;
      if (gid !== NO_CHANGE) changed.gid = gid;
      changed.dropSetIdsAtChown();
      changed.disturb();
      // POSIX: if both stay, the time need not be updated. Linux's own filesystems do.
      if (uid === NO_CHANGE && gid === NO_CHANGE) changed.changed.perhaps(window, stage.batch);
      else changed.changed.set(window, stage.batch);
    },
  };
}

/** A new time: nanoseconds since 1970, so many seconds before the call, or no new one. */
type NewTime = bigint | { ago: number } | 'now' | 'omit';

/** Some time between 1901 and 2038, within two days before the call, that of the call, or none. */
function someTime(planner: Planner): NewTime {
  const { random } = planner;
  if (random.chance(0.4)) return random.pick(['now', 'omit'] as const);
  if (random.chance(0.4)) return { ago: random.below(172_800) };
  return (BigInt(random.uint32()) - 2n ** 31n) * GIGA + BigInt(random.below(1_000_000_000));
}

export function utimens(planner: Planner): Step | undefined {
  const found = planner.pick();
  if (!found) return undefined;
  const { path, inode } = found;
  const worker = planner.worker();
  const [accessed, modified] = [someTime(planner), someTime(planner)];
  return {
    text: `utimensat ${path} accessed ${newTimeText(accessed)} modified ${newTimeText(modified)}`,
    worker,
    claims: attributeClaims(planner, path, inode),
    perform: (stage) => performUtimens(stage, worker, path, accessed, modified),
  };
}

function newTimeText(time: NewTime): string {
  if (typeof time === 'bigint') return timeText(time);
  return typeof time === 'string' ? time : `${time.ago} s ago`;
}

/** With a time before the call made a time of the day. */
function fixed(time: NewTime): Exclude<NewTime, object> {
  if (typeof time !== 'object') return time;
  return BigInt(Date.now() - time.ago * 1000) * 1_000_000n + 123_456n;
}

function timeWords(time: Exclude<NewTime, object>): [bigint, bigint] {
  if (time === 'now') return [0n, BigInt(UTIME_NOW)];
  if (time === 'omit') return [0n, BigInt(UTIME_OMIT)];
  const nanoseconds = ((time % GIGA) + GIGA) % GIGA;
  return [(time - nanoseconds) / GIGA, nanoseconds];
}

async function performUtimens(
  stage: Stage,
  worker: number,
  path: string,
  newAccessed: NewTime,
  newModified: NewTime,
): Promise<void> {
  const [accessed, modified] = [fixed(newAccessed), fixed(newModified)];
  const inode = stage.model.at(path);
  stage.touch(worker, inode);
  const words = [...timeWords(accessed), ...timeWords(modified)];
  const { window } = await stage.call(worker, ROOT_USER, 'utimens', path, ...words);
  if (accessed === 'omit' && modified === 'omit') return;
  inode.attributesChanged(window, stage.batch);
  if (accessed === 'now') inode.accessed.set(window, stage.batch);
  else if (accessed !== 'omit') inode.accessed.exactly(accessed);
  if (modified === 'now') inode.modified.set(window, stage.batch);
  else if (modified !== 'omit') inode.modified.exactly(modified);
}

/** Two or three single fields in random order. */
export function someMasks(planner: Planner): number[] {
  const fields = Object.values(Field);
  planner.random.shuffle(fields);
  return fields.slice(0, 1 + planner.random.below(3));
}

export function stat(planner: Planner): Step | undefined {
  const held = planner.random.chance(0.3) ? planner.pickHeld() : undefined;
  const found = held ? undefined : planner.pick();
  if (!held && !found) return undefined;
  const worker = held?.worker ?? planner.worker();
  const inode = held?.inode ?? found?.inode;
  if (!inode) return undefined;
  const masks = someMasks(planner);
  const path = found?.path ?? '';
  return {
    text: `statx ${held ? `slot ${held.slot}` : path}, first ${masks.map((mask) => `0x${mask.toString(16)}`).join(' ')}`,
    worker,
    claims: held
      ? new Map([
          [`inode ${inode.id}`, ALONE],
          [`slot ${worker}:${held.slot}`, ALONE],
        ])
      : attributeClaims(planner, path, inode),
    async perform(stage) {
      const where = held ? stage.heldAt(worker, held.slot) : path;
      const asked = typeof where === 'string' ? stage.model.at(where) : where.inode;
      await checkAttributes(stage, worker, asked, where, masks);
    },
  };
}

export function list(planner: Planner): Step | undefined {
  const directories = [...planner.model.names()].filter(([, { kind }]) => kind === 'directory');
  const [path, inode] = planner.random.pick(directories);
  const worker = planner.worker();
  return {
    text: `list ${path || '.'}`,
    worker,
    claims: attributeClaims(planner, path, inode),
    perform: (stage) => checkListing(stage, worker, stage.model.at(path, 'directory'), path),
  };
}
