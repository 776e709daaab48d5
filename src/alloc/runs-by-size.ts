/**
 * The free runs in the order of their length: what best-fit, worst-fit and their kin ask for.
 *
 * The same as the tree by size that XFS has beside the one by place (its cntbt), but in memory
 * only, and built piece by piece. A group is *read* when a question may find its answer there: its
 * runs become keys (length, start) of one sorted set, and are kept up to date from then on. Of all
 * other groups a word is remembered (unread-groups.ts), which says what lengths may be there, so
 * that a search passes over those that cannot have the answer. A group that nothing was ever taken
 * from has one run, and is read without its bitmap. Who never asks by length pays nothing: the
 * index makes this object at the first such question.
 *
 * Patience is the number of groups that one question may read. The next one goes on behind them. A
 * question with patience takes what is good enough: it reads nothing for the sake of a nearer place
 * among equals. After a miss everything is asked again from the start: so groups are counted on
 * until the space changes, or each attempt would be as patient as the first.
 *
 * Memory: at most `MOST_RUNS` keys; the group that was read first is forgotten first, and one whose
 * map is dropped is forgotten with it.
 *
 * Invariants: R1 the tree of the unread groups is right; R2 a group that was read has all its runs
 * in the set, and no others; R3 one that was not has none there, and each of its runs is of a class
 * that it may have.
 */
import type { Run } from './allocator.ts';
import type { GroupMap } from './group-map.ts';
import { SortedKeys } from './sorted-keys.ts';
import { ANY_CLASS, classesFrom, classOf, UnreadGroups } from './unread-groups.ts';

/** 16 MiB of keys, 24 with the room in their pages. */
const MOST_RUNS = 2 * 1024 * 1024;

/**
 * Bitmaps fetched for one answer, at most, however much patience there is: more than that is worth
 * no answer, and where not all maps fit in memory there would be no end to it.
 */
const MOST_FETCHED = 4096;

/** Where the runs come from. Those that are said to miss may throw; nothing has changed then. */
export interface RunSource {
  readonly blockCount: number;
  readonly groupBlocks: number;
  readonly groupCount: number;
  /** Blocks that may be handed out. May miss. */
  freeInGroup(group: number): number;
  nextGroup(from: number, minimum: number): number;
  /** Was nothing ever taken from the group, so that it need not be loaded? May miss. */
  isPristine(group: number): boolean;
  /** The one run of a pristine group. */
  pristineRun(group: number): Run;
  /** May miss, and may drop the maps of others. */
  loadMap(group: number): GroupMap;
  loadedMap(group: number): GroupMap | undefined;
}

type Found = Run | undefined;

export class RunsBySize {
  readonly #source: RunSource;
  readonly #mostRuns: number;
  /** A key is length × span + start. */
  readonly #span: number;
  readonly #keys = new SortedKeys();
  readonly #unread: UnreadGroups;
  /** In the order in which they were read. */
  readonly #read = new Set<number>();
  /** Where the next search for a group begins. */
  #cursor = 0;
  /** Groups read by this question; after a miss by all since then, until the space changes. */
  #groupsRead = 0;
  #missed = false;
  #torn = false;

  constructor(source: RunSource, mostRuns: number = MOST_RUNS) {
    this.#source = source;
    this.#mostRuns = mostRuns;
    this.#span = 2 ** Math.ceil(Math.log2(source.blockCount + 1));
    this.#unread = new UnreadGroups(source.groupCount);
  }

  /**
   * A change was cut off halfway, as whatever a policy's hook calls may be: all this is to be made
   * anew.
   */
  get isTorn(): boolean {
    return this.#torn;
  }

  /** Of its arrays. */
  get memoryBytes(): number {
    return this.#keys.memoryBytes + this.#unread.memoryBytes;
  }

  /** Of the shortest runs of `least` or more the one nearest to `near`. May miss. */
  smallest(least: number, near: number, patience: number): Found {
    const { groupBlocks } = this.#source;
    if (least > groupBlocks) return undefined;
    const exact = patience === Number.POSITIVE_INFINITY;
    return this.#search(patience, {
      known: () => this.#nearestOf(this.#lengthOf(this.#keys.atLeast(least * this.#span)), near),
      isBetter: (a, b) => a.length < b.length || (a.length === b.length && isNearer(a, b, near)),
      classes: (best) => {
        const most = best === undefined ? groupBlocks : exact ? best.length : best.length - 1;
        return most < least ? 0 : classesFrom(least, most);
      },
      free: () => least,
    });
  }

  /** Of the longest runs the one nearest to `near`. May miss. */
  longest(near: number, patience: number): Found {
    const { groupBlocks } = this.#source;
    const exact = patience === Number.POSITIVE_INFINITY;
    const least = (best: Found) => (best === undefined ? 1 : exact ? best.length : best.length + 1);
    return this.#search(patience, {
      known: () => this.#nearestOf(this.#lengthOf(this.#keys.below(Number.POSITIVE_INFINITY)), near),
      isBetter: (a, b) => a.length > b.length || (a.length === b.length && isNearer(a, b, near)),
      classes: (best) => (least(best) > groupBlocks ? 0 : classesFrom(least(best), groupBlocks)),
      free: least,
    });
  }

  /** `run` was taken out of the free run `whole` of the group. */
  taken(group: number, whole: Run, run: Run): void {
    this.#missed = false;
    const known = this.#read.has(group);
    if (known) this.#keys.delete(this.#keyOf(whole));
    for (const piece of piecesAround(whole, run)) {
      if (known) this.#keys.add(this.#keyOf(piece));
      else this.#mayHave(group, piece.length, piece.length);
    }
  }

  /** `run` came back, and the free run around it is now `whole`. */
  given(group: number, whole: Run, run: Run): void {
    this.#missed = false;
    if (!this.#read.has(group)) {
      this.#mayHave(group, whole.length, whole.length);
      return;
    }
    for (const piece of piecesAround(whole, run)) this.#keys.delete(this.#keyOf(piece));
    this.#keys.add(this.#keyOf(whole));
  }

  /** So many blocks in a row came back to a group without a map: what is beside them is unknown. */
  givenUnseen(group: number, length: number): void {
    const classes = this.#unread.classesOf(group);
    const longest = classes === 0 ? 0 : 2 ** (classOf(classes) + 1) - 1;
    this.#mayHave(group, length, Math.min(this.#source.groupBlocks, 2 * longest + length));
  }

  /** The group's map is about to be dropped. */
  forget(group: number): void {
    if (!this.#read.has(group)) return;
    this.#torn = true;
    this.#read.delete(group);
    let classes = 0;
    for (const run of this.#runsOf(group)) {
      this.#keys.delete(this.#keyOf(run));
      classes |= classesFrom(run.length, run.length);
    }
    this.#unread.setClasses(group, classes >>> 0);
    this.#torn = false;
  }

  /** Compares the group with its map, a fresh one. @throws Error if an invariant does not hold. */
  checkGroup(group: number, map: GroupMap): void {
    const classes = this.#unread.classesOf(group);
    const known = this.#read.has(group);
    if (known && classes !== 0) throw new Error(`R1: group ${group} was read and is to be read`);
    for (const run of this.#runsOn(group, map)) {
      const key = this.#keyOf(run);
      const inSet = this.#keys.atLeast(key) === key;
      const name = `run ${run.start}+${run.length} of group ${group}`;
      if (known !== inSet) throw new Error(`${known ? 'R2' : 'R3'}: ${name}, in the set: ${inSet}`);
      if (!known && (classes & classesFrom(run.length, run.length)) === 0)
        throw new Error(`R3: ${name} is of no class that it may have`);
    }
  }

  /** @throws Error if an invariant does not hold. */
  checkInvariants(): void {
    this.#keys.checkInvariants();
    this.#unread.checkInvariants();
    let runs = 0;
    for (const group of this.#read) for (const _ of this.#runsOf(group)) runs++;
    if (runs !== this.#keys.size) throw new Error(`R2: ${this.#keys.size} keys for ${runs} runs`);
  }

  // ---- inside ----

  /** The best of what is known, and of what can be learnt from groups that may have better. */
  #search(patience: number, goal: SearchGoal): Found {
    if (!this.#missed) this.#groupsRead = 0;
    const most = this.#missed ? Math.min(patience, MOST_FETCHED) : patience;
    try {
      return this.#learn(most, goal);
    } catch (thrown) {
      this.#missed = true;
      throw thrown;
    }
  }

  #learn(most: number, goal: SearchGoal): Found {
    const { groupCount } = this.#source;
    const origin = this.#cursor < groupCount ? this.#cursor : 0;
    let best = goal.known();
    let at = origin;
    let end = groupCount;
    while (this.#groupsRead < most) {
      const group = this.#nextUnread(at, goal.classes(best), goal.free(best));
      if (group >= 0 && group < end) {
        this.#readGroup(group);
        this.#groupsRead++;
        at = group + 1;
        // Reading one may have forgotten another: what was found there is still free.
        const known = goal.known();
        if (known !== undefined && (best === undefined || goal.isBetter(known, best))) best = known;
      } else if (end === groupCount && origin > 0) {
        at = 0;
        end = origin;
      } else break;
    }
    this.#cursor = at;
    return best;
  }

  /** The first group ≥ `from` that may have a run of these classes, and has so many blocks. */
  #nextUnread(from: number, classes: number, free: number): number {
    for (let at = from; ; ) {
      const group = classes === 0 ? -1 : this.#unread.next(at, classes);
      if (group < 0) return -1;
      at = this.#source.nextGroup(group, free);
      if (at === group) return group;
      // No run is longer than all free blocks together: this need not be found out again.
      const most = this.#source.freeInGroup(group);
      const possible = most === 0 ? 0 : classesFrom(1, most);
      this.#torn = true;
      this.#unread.setClasses(group, (this.#unread.classesOf(group) & possible) >>> 0);
      this.#torn = false;
      if (at < 0) return -1;
    }
  }

  #readGroup(group: number): void {
    const isLoaded = this.#source.loadedMap(group) !== undefined;
    if (isLoaded || !this.#source.isPristine(group)) this.#source.loadMap(group);
    this.#torn = true;
    for (const run of this.#runsOf(group)) this.#keys.add(this.#keyOf(run));
    this.#read.add(group);
    this.#unread.setClasses(group, 0);
    this.#torn = false;
    for (const oldest of this.#read) {
      if (this.#keys.size <= this.#mostRuns || oldest === group) break;
      this.forget(oldest);
    }
  }

  /** The runs of a group that is loaded, or pristine. */
  #runsOf(group: number): Iterable<Run> {
    const map = this.#source.loadedMap(group);
    return map === undefined ? [this.#source.pristineRun(group)] : this.#runsOn(group, map);
  }

  *#runsOn(group: number, map: GroupMap): Iterable<Run> {
    const base = group * this.#source.groupBlocks;
    for (let at = map.nextFree(0, map.blockCount); at >= 0; ) {
      const end = map.nextUsed(at, map.blockCount);
      yield { start: base + at, length: end - at };
      at = map.nextFree(end, map.blockCount);
    }
  }

  #mayHave(group: number, least: number, most: number): void {
    const classes = this.#unread.classesOf(group);
    if (classes !== ANY_CLASS) this.#unread.setClasses(group, (classes | classesFrom(least, most)) >>> 0);
  }

  #keyOf(run: Run): number {
    return run.length * this.#span + run.start;
  }

  /** 0 for no key. */
  #lengthOf(key: number): number {
    return key < 0 ? 0 : Math.floor(key / this.#span);
  }

  /** The known run of exactly this length that is nearest to the place. */
  #nearestOf(length: number, near: number): Found {
    if (length === 0) return undefined;
    const place = length * this.#span + near;
    const above = this.#keys.atLeast(place);
    const below = this.#keys.below(place);
    const hasAbove = this.#lengthOf(above) === length;
    const hasBelow = this.#lengthOf(below) === length;
    const key = hasBelow && (!hasAbove || place - below <= above - place) ? below : above;
    return { start: key - length * this.#span, length };
  }
}

interface SearchGoal {
  /** The best run in the set. */
  known(): Found;
  isBetter(run: Run, than: Run): boolean;
  /** What a better run than `best` may be like: its classes, and the free blocks of its group. */
  classes(best: Found): number;
  free(best: Found): number;
}

function isNearer(run: Run, than: Run, near: number): boolean {
  const distance = Math.abs(run.start - near) - Math.abs(than.start - near);
  return distance < 0 || (distance === 0 && run.start < than.start);
}

/** What of `whole` lies before and behind `run`. */
function piecesAround(whole: Run, run: Run): Run[] {
  const end = run.start + run.length;
  const pieces = [
    { start: whole.start, length: run.start - whole.start },
    { start: end, length: whole.start + whole.length - end },
  ];
  return pieces.filter(({ length }) => length > 0);
}
