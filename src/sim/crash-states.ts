/**
 * Every disk that power loss may leave: the Device contract, turned into an enumeration.
 *
 * A cursor walks over the log of a device. At each place the writes are of two kinds: those that a
 * finished flush covers, and write-throughs that are done, are on the disk, whole; of the others
 * (volatile) each sector may be there or not, on its own, because writes tear at sectors and
 * overtake each other. So a state is a choice, for every sector that volatile writes touch, of one
 * content among the durable one and those written since; this is all that subsets, order and
 * tearing can make.
 *
 *   const cursor = new CrashCursor(disk, log, hashOfDisk(disk.bytes));
 *   while (cursor.step())
 *     for (const state of cursor.states(budget)) …     state.overlay on top of the disk
 *
 * The disk holds the durable state of the place while the cursor is there. Few choices are
 * enumerated wholly, many are sampled: first the likely troublemakers (prefixes, one write missing,
 * one alone, each cut), then at random.
 */
import type { CrashDisk } from './crash-disk.ts';
import { type ContentHash, keyOf, type SectorVersion, sectorVersion } from './crash-hash.ts';
import { CRASH_SECTOR_BYTES, type DeviceEvent } from './crash-image.ts';
import { SeededRandom } from './seeded-random.ts';

export interface CrashBudget {
  /** Places with at most so many states are enumerated wholly. */
  readonly exhaustive: number;
  /** At other places: random states, besides the chosen ones. */
  readonly samples: number;
  /** At other places: how many single sectors are left out, and written alone. */
  readonly singles: number;
  /** At other places: at how many sectors each write is cut. */
  readonly cuts: number;
  readonly seed: number;
}

export interface CrashState {
  /** Of its whole content. */
  readonly key: number;
  /** Place in the log: events that happened. */
  readonly eventCount: number;
  /** Number of the state among those of its place; the same for the same budget. */
  readonly ordinal: number;
  /** Sectors that differ from the durable content. */
  readonly overlay: readonly SectorVersion[];
}

interface VolatileWrite {
  readonly request: number;
  readonly deviceOffset: number;
  readonly data: Uint8Array;
  readonly versions: readonly SectorVersion[];
  readonly through: boolean;
  /** Place in the log where it ended; −1 while in flight. */
  endedAt: number;
  failed: boolean;
}

type QueuedWrite = Extract<DeviceEvent, { kind: 'write-queued' }>;

function overlaps(one: VolatileWrite, other: VolatileWrite): boolean {
  return (
    one.deviceOffset < other.deviceOffset + other.data.length &&
    other.deviceOffset < one.deviceOffset + one.data.length
  );
}

/** A sector with what it may hold instead of its durable content. */
interface Choice {
  readonly durable: SectorVersion;
  readonly others: SectorVersion[];
}

/**
 * What a volatile write does to the choices: their indexes, and the content it gives them
 * (undefined: the durable one).
 */
interface Effect {
  readonly indexes: number[];
  readonly contents: (SectorVersion | undefined)[];
}

type Selection = (SectorVersion | undefined)[];

export class CrashCursor {
  readonly #disk: CrashDisk;
  readonly #log: readonly DeviceEvent[];
  readonly #durable = new Map<number, SectorVersion>();
  #volatile: VolatileWrite[] = [];
  readonly #flushQueuedAt = new Map<number, number>();
  #coveredUntil = -1;
  #high: number;
  #low: number;
  #eventCount = 0;
  #choices: Choice[] | undefined;
  #effects: Effect[] = [];
  /** True when the states here are not all among those of the place before. */
  changed = true;

  constructor(disk: CrashDisk, log: readonly DeviceEvent[], hash: ContentHash) {
    this.#disk = disk;
    this.#log = log;
    this.#high = hash.high;
    this.#low = hash.low;
  }

  /** Events passed. */
  get eventCount(): number {
    return this.#eventCount;
  }

  /** Passes one event; false at the end. */
  step(): boolean {
    const event = this.#log[this.#eventCount];
    if (event === undefined) return false;
    const at = this.#eventCount++;
    if (event.kind === 'write-queued') this.#queue(event);
    else if (event.kind === 'flush-queued') this.#flushQueuedAt.set(event.request, at);
    else if (event.kind === 'flush-done') this.#cover(this.#flushQueuedAt.get(event.request) ?? -1);
    else if (event.kind !== 'flush-failed') this.#end(event.request, at, event.kind === 'write-failed');
    return true;
  }

  /**
   * Does the next event add to what is volatile? Then the states of the next place include those of
   * this one.
   */
  get growsNext(): boolean {
    return this.#log[this.#eventCount]?.kind === 'write-queued';
  }

  #queue({ request, deviceOffset, data, through = false }: QueuedWrite): void {
    const versions: SectorVersion[] = [];
    for (let at = 0; at < data.length; at += CRASH_SECTOR_BYTES) {
      const sector = (deviceOffset + at) / CRASH_SECTOR_BYTES;
      versions.push(sectorVersion(sector, data.subarray(at, at + CRASH_SECTOR_BYTES)));
    }
    this.#volatile.push({ request, deviceOffset, data, versions, through, endedAt: -1, failed: false });
    this.#changed();
  }

  #changed(): void {
    this.#choices = undefined;
    this.changed = true;
  }

  #end(request: number, at: number, failed: boolean): void {
    const write = this.#volatile.find((candidate) => candidate.request === request);
    if (write === undefined) throw new Error(`the log ends write ${request}, which it never began`);
    write.endedAt = at;
    write.failed = failed;
    if (write.through && !failed) this.#endThrough(write);
  }

  /**
   * Durable by itself. Nothing of ours writes the same sectors again before a flush; what older
   * writes leave there is not worked out.
   */
  #endThrough(write: VolatileWrite): void {
    this.#volatile = this.#volatile.filter((other) => other !== write);
    if (this.#volatile.some((other) => overlaps(other, write)))
      throw new Error(`write-through ${write.request} overlaps a write that is not durable`);
    this.#makeDurable(write);
    this.#changed();
  }

  /**
   * Writes that ended before the flush was queued are durable; those that failed before it are
   * gone.
   */
  #cover(flushQueuedAt: number): void {
    this.#coveredUntil = Math.max(this.#coveredUntil, flushQueuedAt);
    const isCovered = ({ endedAt }: VolatileWrite) => endedAt >= 0 && endedAt < this.#coveredUntil;
    const covered = this.#volatile.filter(isCovered);
    if (covered.length === 0) return;
    this.#volatile = this.#volatile.filter((write) => !isCovered(write));
    covered.sort((left, right) => left.endedAt - right.endedAt);
    for (const write of covered) if (!write.failed) this.#makeDurable(write);
    this.#changed();
  }

  #makeDurable(write: VolatileWrite): void {
    for (const version of write.versions) {
      const old = this.#durableVersion(version.sector);
      this.#high ^= old.high ^ version.high;
      this.#low ^= old.low ^ version.low;
      this.#durable.set(version.sector, version);
    }
    this.#disk.write(write.deviceOffset, write.data);
  }

  #durableVersion(sector: number): SectorVersion {
    let version = this.#durable.get(sector);
    if (version === undefined) {
      const from = sector * CRASH_SECTOR_BYTES;
      version = sectorVersion(sector, this.#disk.bytes.slice(from, from + CRASH_SECTOR_BYTES));
      this.#durable.set(sector, version);
    }
    return version;
  }

  // ---- states ----

  /**
   * The states of this place, some of them more than once. The generator must be at its end before
   * the next step.
   */
  *states(budget: CrashBudget): Generator<CrashState> {
    const choices = this.#findChoices();
    let ordinal = 0;
    for (const selection of this.#selections(choices, budget)) {
      yield this.#state(choices, selection, ordinal++);
    }
  }

  #state(choices: readonly Choice[], selection: Selection, ordinal: number): CrashState {
    let high = this.#high;
    let low = this.#low;
    const overlay: SectorVersion[] = [];
    for (let i = 0; i < selection.length; i++) {
      const version = selection[i];
      const choice = choices[i];
      if (version === undefined || choice === undefined) continue;
      high ^= version.high ^ choice.durable.high;
      low ^= version.low ^ choice.durable.low;
      overlay.push(version);
    }
    return { key: keyOf({ high, low }), eventCount: this.#eventCount, ordinal, overlay };
  }

  #findChoices(): readonly Choice[] {
    if (this.#choices) return this.#choices;
    const choices: Choice[] = [];
    const indexOf = new Map<number, number>();
    for (const { versions } of this.#volatile) {
      for (const version of versions) this.#addChoice(choices, indexOf, version);
    }
    this.#effects = this.#volatile.map((write) => effectOf(write, choices, indexOf));
    this.#effects = this.#effects.filter(({ indexes }) => indexes.length > 0);
    this.#choices = choices;
    return choices;
  }

  #addChoice(choices: Choice[], indexOf: Map<number, number>, version: SectorVersion): void {
    const durable = this.#durableVersion(version.sector);
    if (same(durable, version)) return;
    const known = choices[indexOf.get(version.sector) ?? choices.length];
    if (known === undefined) {
      indexOf.set(version.sector, choices.length);
      choices.push({ durable, others: [version] });
    } else if (!known.others.some((other) => same(other, version))) known.others.push(version);
  }

  *#selections(choices: readonly Choice[], budget: CrashBudget): Generator<Selection> {
    let count = 1;
    for (const { others } of choices) {
      count *= 1 + others.length;
      if (count > budget.exhaustive) break;
    }
    if (count <= budget.exhaustive) {
      yield* allSelections(choices, 0, new Array(choices.length).fill(undefined));
      return;
    }
    const random = new SeededRandom(budget.seed * 7919 + this.#eventCount);
    yield* wholeWrites(choices.length, this.#effects, budget.cuts);
    yield* singleSectors(choices, this.#effects, budget.singles, random);
    for (let i = 0; i < budget.samples; i++) yield sampled(choices, this.#effects, random);
  }
}

function same(left: SectorVersion, right: SectorVersion): boolean {
  return left.high === right.high && left.low === right.low;
}

function effectOf(write: VolatileWrite, choices: readonly Choice[], indexOf: Map<number, number>): Effect {
  const indexes: number[] = [];
  const contents: (SectorVersion | undefined)[] = [];
  for (const version of write.versions) {
    const index = indexOf.get(version.sector);
    if (index === undefined) continue;
    const choice = choices[index];
    if (choice === undefined) continue;
    indexes.push(index);
    contents.push(same(choice.durable, version) ? undefined : version);
  }
  return { indexes, contents };
}

function* allSelections(choices: readonly Choice[], at: number, selection: Selection): Generator<Selection> {
  const choice = choices[at];
  if (choice === undefined) {
    yield selection.slice();
    return;
  }
  selection[at] = undefined;
  yield* allSelections(choices, at + 1, selection);
  for (const version of choice.others) {
    selection[at] = version;
    yield* allSelections(choices, at + 1, selection);
  }
}

/** Applies the sectors [from, to) of a write. */
function apply(selection: Selection, effect: Effect, from = 0, to = effect.indexes.length): void {
  for (let i = from; i < to; i++) selection[effect.indexes[i] as number] = effect.contents[i];
}

/** Every prefix, each with the next write cut; one write missing; one alone; all subsets of few. */
function* wholeWrites(width: number, effects: readonly Effect[], most: number): Generator<Selection> {
  const prefix: Selection = new Array(width).fill(undefined);
  for (const effect of effects) {
    yield prefix.slice();
    yield* cuts(prefix, effect, most);
    apply(prefix, effect);
  }
  yield prefix.slice();
  if (effects.length <= 4) {
    for (let set = 0; set < 2 ** effects.length; set++) {
      yield union(
        width,
        effects.filter((_, i) => (set >> i) & 1),
      );
    }
    return;
  }
  for (const effect of effects) {
    yield union(
      width,
      effects.filter((other) => other !== effect),
    );
    yield union(width, [effect]);
  }
}

function* cuts(prefix: Selection, effect: Effect, most: number): Generator<Selection> {
  const count = effect.indexes.length;
  const stride = Math.ceil(count / (most + 1));
  for (let at = stride; at < count; at += stride) {
    const head = prefix.slice();
    apply(head, effect, 0, at);
    yield head;
    const tail = prefix.slice();
    apply(tail, effect, at);
    yield tail;
  }
}

function union(width: number, effects: readonly Effect[]): Selection {
  const selection: Selection = new Array(width).fill(undefined);
  for (const effect of effects) apply(selection, effect);
  return selection;
}

/** One sector missing, one alone. */
function* singleSectors(
  choices: readonly Choice[],
  effects: readonly Effect[],
  most: number,
  random: SeededRandom,
): Generator<Selection> {
  const shuffled = random.shuffle([...choices.entries()]).slice(0, most);
  const full = union(choices.length, effects);
  for (const [index, { others }] of shuffled) {
    const missing = full.slice();
    missing[index] = undefined;
    yield missing;
    const alone: Selection = new Array(choices.length).fill(undefined);
    alone[index] = random.pick(others);
    yield alone;
  }
}

/**
 * A random state; each has a taste: nearly nothing lost, nearly all, by whole writes or by sectors.
 */
function sampled(choices: readonly Choice[], effects: readonly Effect[], random: SeededRandom): Selection {
  const survival = random.pick([0.1, 0.5, 0.8, 0.95]);
  if (random.chance(0.4)) {
    const order = random.chance(0.5) ? effects : random.shuffle(effects.slice());
    return union(
      choices.length,
      order.filter(() => random.chance(survival)),
    );
  }
  return choices.map(({ others }) => (random.chance(survival) ? random.pick(others) : undefined));
}
