/**
 * The model-based fuzz of the allocators.
 *
 * A volume of a few groups, an index with room for a few maps, a disk that misses at random, and a
 * policy, against a model that could not be simpler: npm `bitset`s of the blocks in use, reserved
 * and quarantined. Each step does one thing that a volume does, and compares. All decisions come
 * from the seed.
 *
 * What is compared: each answer against the model (free, long enough, inside one group; refused
 * only if no such run exists), each question to the free space against a plain loop over the model,
 * the counts at every step, and all invariants now and then.
 */
import BitSet from 'bitset';
import type { AllocatorDefinition, Run } from '../../src/alloc/allocator.ts';
import { BitmapDisk } from '../../src/lab/verify/bitmap-disk.ts';
import { Owner, want } from './alloc-owner.ts';
import { Random } from './alloc-random.ts';

const KINDS = ['data', 'data', 'directory', 'tree', 'inode', 'attribute'] as const;

interface Step {
  readonly weight: number;
  readonly run: (fuzz: AllocatorFuzz) => void;
}

/** What a volume does, and how often. */
const STEPS: readonly Step[] = [
  { weight: 40, run: (fuzz) => fuzz.reserve() },
  { weight: 30, run: (fuzz) => fuzz.commit() },
  { weight: 5, run: (fuzz) => fuzz.unreserve() },
  { weight: 20, run: (fuzz) => fuzz.free() },
  { weight: 20, run: (fuzz) => fuzz.release() },
  { weight: 3, run: (fuzz) => fuzz.transactionRolledBack() },
  { weight: 10, run: (fuzz) => fuzz.askQuestions() },
  { weight: 8, run: (fuzz) => fuzz.forgetBlocks() },
  { weight: 1, run: (fuzz) => fuzz.checkInvariants() },
  { weight: 1, run: (fuzz) => fuzz.fillUp() },
  { weight: 1, run: (fuzz) => fuzz.freeMost() },
];
const WEIGHT = STEPS.reduce((sum, step) => sum + step.weight, 0);

export class AllocatorFuzz {
  readonly #random: Random;
  readonly #owner: Owner;
  readonly #blockCount: number;
  readonly #groupBlocks: number;
  readonly #emptyFree: number;
  readonly #used = new BitSet();
  readonly #reserved = new BitSet();
  readonly #quarantined = new BitSet();
  readonly #reservedRuns: Run[] = [];
  readonly #usedRuns: Run[] = [];
  readonly #quarantinedRuns: Run[] = [];

  constructor(definition: AllocatorDefinition, seed: number) {
    const random = new Random(seed);
    this.#random = random;
    this.#groupBlocks = random.pick([37, 64, 257, 1000]);
    const groups = 1 + random.below(9);
    const shape = {
      groupBlocks: this.#groupBlocks,
      blockCount: groups * this.#groupBlocks - random.below(this.#groupBlocks - 8),
      metadataBlocks: random.below(4),
    };
    this.#blockCount = shape.blockCount;
    const disk = new BitmapDisk(shape);
    this.#owner = new Owner(definition, disk, {}, random.pick([1, 600, 1e6]), random.pick([1, 30, 1e6]));
    for (let start = 0; start < this.#blockCount; start += this.#groupBlocks) {
      for (let block = 0; block < shape.metadataBlocks; block++) this.#used.set(start + block);
    }
    this.#emptyFree = this.#freeBlocks();
  }

  /** One step, chosen at random, and the counts compared. */
  step(): void {
    let ticket = this.#random.below(WEIGHT);
    for (const step of STEPS) {
      ticket -= step.weight;
      if (ticket >= 0) continue;
      step.run(this);
      break;
    }
    const { index } = this.#owner;
    this.#same('freeBlocks', index.freeBlocks, this.#freeBlocks());
    this.#same('reservedBlocks', index.reservedBlocks, this.#reserved.cardinality());
    this.#same('quarantinedBlocks', index.quarantinedBlocks, this.#quarantined.cardinality());
  }

  /** Everything is given back; the space must be as it was at first. */
  finish(): void {
    while (this.#reservedRuns.length > 0) this.unreserve();
    while (this.#usedRuns.length > 0) this.free();
    while (this.#quarantinedRuns.length > 0) this.release();
    this.#same('free blocks of the empty volume', this.#owner.index.freeBlocks, this.#emptyFree);
    this.checkInvariants();
  }

  reserve(): boolean {
    const random = this.#random;
    const length = 1 + random.below(random.pick([1, 8, 40, 300, 2000]));
    const request = want({
      length,
      minimum: random.oneIn(2) ? 1 : 1 + random.below(length),
      goal: this.#goal(),
      inode: 1 + random.below(20),
      kind: random.pick(KINDS),
      stream: random.oneIn(2),
    });
    const run = this.#owner.reserve(request);
    if (run === undefined) {
      const missed = this.#findRun(0, this.#blockCount, request.minimum, length);
      if (missed !== undefined)
        throw this.#error(`refused ${request.minimum} blocks, but ${at(missed)} is free`);
      return false;
    }
    this.#expectFree(run);
    if (run.length < request.minimum || run.length > length)
      throw this.#error(`${at(run)} has the wrong length`);
    this.#mark(this.#reserved, run, 1);
    this.#reservedRuns.push(run);
    return true;
  }

  commit(): void {
    const run = this.#pull(this.#reservedRuns);
    if (run === undefined) return;
    this.#owner.commit(run);
    this.#mark(this.#reserved, run, 0);
    this.#mark(this.#used, run, 1);
    this.#usedRuns.push(run);
  }

  unreserve(): void {
    const run = this.#pull(this.#reservedRuns);
    if (run === undefined) return;
    this.#owner.unreserve(run);
    this.#mark(this.#reserved, run, 0);
  }

  free(): void {
    const run = this.#pull(this.#usedRuns);
    if (run === undefined) return;
    this.#owner.quarantine(run);
    this.#mark(this.#used, run, 0);
    this.#mark(this.#quarantined, run, 1);
    this.#quarantinedRuns.push(run);
  }

  release(): void {
    const run = this.#pull(this.#quarantinedRuns);
    if (run === undefined) return;
    this.#owner.unquarantine(run);
    this.#mark(this.#quarantined, run, 0);
    if (this.#random.oneIn(4)) this.#owner.policy.forgetInode?.(1 + this.#random.below(20));
  }

  /** Allocates and frees, looks around, and takes it all back: the model never sees it. */
  transactionRolledBack(): void {
    const undo: (() => void)[] = [];
    for (let count = 1 + this.#random.below(6); count > 0; count--) {
      const used = this.#random.oneIn(2) ? this.#pull(this.#usedRuns) : undefined;
      if (used === undefined) this.#allocateUndoably(undo);
      else this.#freeUndoably(used, undo);
    }
    if (this.#random.oneIn(2)) this.checkInvariants();
    for (const back of undo.reverse()) back();
  }

  askQuestions(): void {
    const random = this.#random;
    const { index } = this.#owner;
    const from = random.below(this.#blockCount);
    const limit = random.oneIn(3) ? this.#blockCount : from + random.below(this.#blockCount - from + 1);
    const length = 1 + random.below(random.pick([2, 40, 400]));
    const minimum = 1 + random.below(length);
    const { ask } = this.#owner;
    const context = `(${from}, ${limit}, ${minimum}, ${length})`;
    const found = ask(() => index.findRun(from, limit, minimum, length));
    const expected = this.#findRun(from, limit, minimum, length);
    this.#same(`findRun${context}`, found && at(found), expected && at(expected));
    const hasty = ask(() => index.findRun(from, limit, minimum, length, 1 + random.below(3)));
    if (hasty !== undefined) this.#same(`findRun${context} in haste`, at(hasty), expected && at(expected));
    this.#same(
      `isFree(${from})`,
      ask(() => index.isFree(from)),
      this.#isFree(from),
    );
    const run = ask(() => index.freeRunLength(from, length));
    this.#same(`freeRunLength(${from}, ${length})`, run, this.#freeRunLength(from, length));
    const next = this.#findRun(from, limit, 1, 1)?.start ?? -1;
    this.#same(
      `nextFree${context}`,
      ask(() => index.nextFree(from, limit)),
      next,
    );
    this.#askAboutGroups(minimum);
    this.#askAboutRuns(from);
    if (random.oneIn(2)) this.#askBySize(minimum);
  }

  forgetBlocks(): void {
    const { disk, index } = this.#owner;
    for (let group = 0; group < index.groupCount; group++) if (this.#random.oneIn(2)) disk.forget(group);
  }

  checkInvariants(): void {
    this.#owner.disk.fetchAll();
    this.#owner.index.checkInvariants();
    this.#owner.policy.checkInvariants?.();
  }

  fillUp(): void {
    while (this.#freeBlocks() > 0) if (this.reserve()) this.commit();
    this.checkInvariants();
  }

  freeMost(): void {
    while (this.#usedRuns.length > 10) this.free();
    while (this.#quarantinedRuns.length > 0) this.release();
  }

  #allocateUndoably(undo: (() => void)[]): void {
    const owner = this.#owner;
    const run = owner.reserve(want({ length: 1 + this.#random.below(20), goal: this.#goal() }));
    if (run === undefined) return;
    this.#mark(this.#reserved, run, 1);
    undo.push(() => {
      owner.unreserve(run);
      this.#mark(this.#reserved, run, 0);
    });
    if (this.#random.oneIn(3)) return;
    owner.commit(run);
    undo.push(() => owner.uncommit(run));
  }

  #freeUndoably(run: Run, undo: (() => void)[]): void {
    this.#owner.quarantine(run);
    undo.push(() => {
      this.#owner.restore(run);
      this.#usedRuns.push(run);
    });
  }

  #askAboutGroups(minimum: number): void {
    const { index, ask } = this.#owner;
    const from = this.#random.below(index.groupCount);
    const free = Array.from({ length: index.groupCount }, (_, group) => this.#freeInGroup(group));
    this.#same(
      `freeInGroup(${from})`,
      ask(() => index.freeInGroup(from)),
      free[from],
    );
    const expected = free.findIndex((count, group) => group >= from && count >= minimum);
    this.#same(
      `nextGroup(${from}, ${minimum})`,
      ask(() => index.nextGroup(from, minimum)),
      expected,
    );
  }

  /** The runs in order, and around a place. */
  #askAboutRuns(place: number): void {
    const { index, ask } = this.#owner;
    const runs = this.#runs();
    const inOrder: Run[] = [];
    for (let end = 0; ; ) {
      const run = ask(() => index.runAfter(end));
      if (run === undefined) break;
      inOrder.push(run);
      end = run.start + run.length;
    }
    this.#same('the runs in order', inOrder.map(at).join(), runs.map(at).join());
    const expectRun = (what: string, found: Run | undefined, expected: Run | undefined) =>
      this.#same(`${what}(${place})`, found && at(found), expected && at(expected));
    const endOf = (run: Run) => run.start + run.length;
    expectRun(
      'runAround',
      ask(() => index.runAround(place)),
      runs.find((run) => run.start <= place && endOf(run) > place),
    );
    expectRun(
      'runAfter',
      ask(() => index.runAfter(place)),
      runs.find((run) => run.start >= place),
    );
    expectRun(
      'runBefore',
      ask(() => index.runBefore(place)),
      runs.findLast((run) => endOf(run) <= place),
    );
  }

  /** The shortest and the longest runs, nearest to a place. */
  #askBySize(minimum: number): void {
    const random = this.#random;
    const { index, ask } = this.#owner;
    const near = random.oneIn(2) ? 0 : random.below(this.#blockCount);
    const fitting = this.#runs().filter((run) => run.length >= minimum);
    const nearest = (length: number): Run | undefined =>
      fitting
        .filter((run) => run.length === length)
        .sort((a, b) => Math.abs(a.start - near) - Math.abs(b.start - near) || a.start - b.start)[0];
    const smallest = nearest(Math.min(...fitting.map((run) => run.length)));
    const longest = nearest(Math.max(...fitting.map((run) => run.length)));
    const hasty = ask(() => index.smallestRun(minimum, near, 1));
    if (hasty !== undefined && !fitting.some((run) => at(run) === at(hasty)))
      throw this.#error(`smallestRun(${minimum}, ${near}, 1) is ${at(hasty)}, which is no free run`);
    if (random.oneIn(3)) return;
    const found = ask(() => index.smallestRun(minimum, near));
    this.#same(`smallestRun(${minimum}, ${near})`, found && at(found), smallest && at(smallest));
    const most = ask(() => index.longestRun(near));
    if (longest !== undefined) this.#same(`longestRun(${near})`, most && at(most), at(longest));
    else if (most !== undefined && most.length >= minimum)
      throw this.#error(`longestRun(${near}) is ${at(most)}, which is no free run`);
  }

  /** The block after something, any block, or none. */
  #goal(): number {
    const random = this.#random;
    const last = this.#usedRuns.at(-1 - random.below(3));
    if (last !== undefined && random.oneIn(2)) return last.start + last.length;
    return random.below(this.#blockCount + 1) - 1;
  }

  /** Takes a random run out of the list; sometimes only its front, sometimes only its end. */
  #pull(runs: Run[]): Run | undefined {
    if (runs.length === 0) return undefined;
    const index = this.#random.below(runs.length);
    const run = runs[index];
    const last = runs.pop();
    if (run === undefined || last === undefined) return undefined;
    if (index < runs.length) runs[index] = last;
    if (run.length === 1 || !this.#random.oneIn(4)) return run;
    const cut = 1 + this.#random.below(run.length - 1);
    const front = { start: run.start, length: cut };
    const end = { start: run.start + cut, length: run.length - cut };
    const takesFront = this.#random.below(2) === 0;
    runs.push(takesFront ? end : front);
    return takesFront ? front : end;
  }

  // ---- the model ----

  #mark(set: BitSet, run: Run, value: 0 | 1): void {
    // Not setRange: bitset 5.3.0 does nothing where a range ends at the last bit of the word it
    // began in.
    for (let block = run.start; block < run.start + run.length; block++) set.set(block, value);
  }

  #isFree(block: number): boolean {
    return !(this.#used.get(block) || this.#reserved.get(block) || this.#quarantined.get(block));
  }

  #freeBlocks(): number {
    const taken = this.#used.cardinality() + this.#reserved.cardinality() + this.#quarantined.cardinality();
    return this.#blockCount - taken;
  }

  #freeInGroup(group: number): number {
    const end = Math.min((group + 1) * this.#groupBlocks, this.#blockCount);
    let count = 0;
    for (let block = group * this.#groupBlocks; block < end; block++) if (this.#isFree(block)) count++;
    return count;
  }

  #freeRunLength(block: number, most: number): number {
    const groupEnd = (Math.floor(block / this.#groupBlocks) + 1) * this.#groupBlocks;
    const end = Math.min(groupEnd, this.#blockCount, block + most);
    let length = 0;
    while (block + length < end && this.#isFree(block + length)) length++;
    return length;
  }

  #findRun(from: number, limit: number, minimum: number, length: number): Run | undefined {
    for (let block = from; block < limit; ) {
      const found = this.#freeRunLength(block, length);
      if (found >= minimum) return { start: block, length: found };
      block += Math.max(1, found);
    }
    return undefined;
  }

  /** All free runs, whole. */
  #runs(): Run[] {
    const runs: Run[] = [];
    for (let block = 0; block < this.#blockCount; ) {
      const length = this.#freeRunLength(block, this.#blockCount);
      if (length > 0) runs.push({ start: block, length });
      block += Math.max(1, length);
    }
    return runs;
  }

  #expectFree(run: Run): void {
    for (let block = run.start; block < run.start + run.length; block++) {
      if (!this.#isFree(block))
        throw this.#error(`${at(run)} was handed out, but block ${block} is not free`);
    }
  }

  #same(what: string, found: unknown, expected: unknown): void {
    if (!Object.is(found, expected)) throw this.#error(`${what} is ${found}, not ${expected}`);
  }

  #error(message: string): Error {
    return new Error(`${message} (${this.#blockCount} blocks in groups of ${this.#groupBlocks})`);
  }
}

function at(run: Run): string {
  return `${run.start}+${run.length}`;
}

/**
 * One volume from the seed, `steps` steps long.
 * @throws Error that names the step, the seed and the command that repeats it
 */
export function fuzzAllocator(definition: AllocatorDefinition, seed: number, steps: number): void {
  let step = 0;
  try {
    const fuzz = new AllocatorFuzz(definition, seed);
    while (step++ < steps) fuzz.step();
    fuzz.finish();
  } catch (error) {
    const repeat = `npm run fuzz -- --target alloc --seed ${seed} --rounds 1`;
    const place = `allocator ${definition.name}, seed ${seed}, step ${step}`;
    throw new Error(`${place}: ${String(error)}; repeat with: ${repeat}`, { cause: error });
  }
}
