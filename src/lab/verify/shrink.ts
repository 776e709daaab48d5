/**
 * The shortest history that still breaks a rule.
 *
 * Delta debugging (Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE
 * TSE 28(2), 2002) over the list of operations; then smaller volumes and simpler operations, one
 * change at a time; and again, until nothing more can go or the time is up. A candidate counts if
 * it breaks the same rule, whatever the words.
 */
import type { AllocateOperation, History, SpaceOperation, VolumeShape } from './history.ts';
import { type BrokenRule, fillRequest } from './performer.ts';

/** Requests of a `fill` that are looked at one by one. */
const MOST_EXPANDED = 1000;

export interface Shrunk {
  readonly history: History;
  readonly broken: BrokenRule;
}

/** Performs a candidate; undefined if it breaks no rule. */
export type Trial = (history: History) => Promise<BrokenRule | undefined>;

/**
 * @param found a history that breaks a rule, and how
 * @param isOver whether no more trials are wanted
 */
export async function shrink(found: Shrunk, trial: Trial, isOver: () => boolean): Promise<Shrunk> {
  const shrinker = new Shrinker(trial, isOver, found.broken.rule);
  const whole = await shrinker.shrink(found);
  const { operations } = found.history;
  const last = operations[found.broken.at];
  if (last?.does !== 'fill' || found.broken.request >= MOST_EXPANDED) return whole;
  const expanded = Array.from({ length: found.broken.request + 1 }, (_, index) =>
    fillRequest(last.length, index),
  );
  const history = { ...found.history, operations: [...operations.slice(0, found.broken.at), ...expanded] };
  const broken = await shrinker.tryOut(history);
  if (broken === undefined) return whole;
  const parts = await shrinker.shrink({ history, broken });
  return parts.history.operations.length <= whole.history.operations.length ? parts : whole;
}

class Shrinker {
  readonly #trial: Trial;
  readonly #isOver: () => boolean;
  readonly #rule: string;

  constructor(trial: Trial, isOver: () => boolean, rule: string) {
    this.#trial = trial;
    this.#isOver = isOver;
    this.#rule = rule;
  }

  async shrink(found: Shrunk): Promise<Shrunk> {
    let best = cutOff(found);
    for (;;) {
      const before = JSON.stringify(best.history);
      // The smaller the volume, the sooner the other trials are done.
      best = await this.#smaller(best);
      best = await this.#fewer(best);
      best = await this.#simpler(best);
      if (JSON.stringify(best.history) === before) return best;
    }
  }

  /** How the candidate breaks the rule; undefined if it does not, or the time is up. */
  async tryOut(history: History): Promise<BrokenRule | undefined> {
    if (this.#isOver()) return undefined;
    const broken = await this.#trial(history);
    return broken?.rule === this.#rule ? broken : undefined;
  }

  async #try(history: History): Promise<Shrunk | undefined> {
    const broken = await this.tryOut(history);
    return broken === undefined ? undefined : cutOff({ history, broken });
  }

  /** Fewer operations. */
  async #fewer(found: Shrunk): Promise<Shrunk> {
    let best = found;
    for (let parts = 1; parts <= best.history.operations.length; ) {
      const reduced = await this.#without(best, parts);
      if (reduced !== undefined) {
        best = reduced;
        parts = Math.max(1, Math.min(parts - 1, best.history.operations.length));
      } else {
        if (parts === best.history.operations.length) break;
        parts = Math.min(2 * parts, best.history.operations.length);
      }
    }
    return best;
  }

  /** Leaves out one of so many parts. */
  async #without({ history }: Shrunk, parts: number): Promise<Shrunk | undefined> {
    const { operations } = history;
    const size = Math.ceil(operations.length / parts);
    for (let start = 0; start < operations.length; start += size) {
      const rest = [...operations.slice(0, start), ...operations.slice(start + size)];
      const reduced = await this.#try({ ...history, operations: rest });
      if (reduced !== undefined) return reduced;
    }
    return undefined;
  }

  async #smaller(found: Shrunk): Promise<Shrunk> {
    let best = found;
    for (const shape of smallerShapes(found.history.shape)) {
      const operations = found.history.operations.map((operation) => fitted(operation, shape));
      best = (await this.#try({ ...found.history, shape, operations })) ?? best;
      if (best !== found) break;
    }
    if (!best.history.askedAgain) return best;
    return (await this.#try({ ...best.history, askedAgain: false })) ?? best;
  }

  async #simpler(found: Shrunk): Promise<Shrunk> {
    let best = found;
    for (let index = 0; index < best.history.operations.length; index++) {
      const operation = best.history.operations[index];
      if (operation === undefined) break;
      for (const simpler of simplerOperations(operation)) {
        const operations = best.history.operations.with(index, simpler);
        const simplified = await this.#try({ ...best.history, operations });
        if (simplified === undefined) continue;
        best = simplified;
        break;
      }
    }
    return best;
  }
}

/** What comes after the rule was broken does not matter. */
function cutOff({ history, broken }: Shrunk): Shrunk {
  const operations = history.operations.slice(0, broken.rule === 'creates' ? 0 : broken.at + 1);
  return { history: { ...history, operations }, broken };
}

/** The operation with the blocks that it names inside the volume. */
function fitted(operation: SpaceOperation, { blockCount }: VolumeShape): SpaceOperation {
  if (operation.does === 'punch') return { ...operation, start: operation.start % blockCount };
  if (operation.does !== 'allocate' || typeof operation.goal !== 'number') return operation;
  return { ...operation, goal: operation.goal % (blockCount + 1) };
}

function smallerShapes(shape: VolumeShape): VolumeShape[] {
  const { groupBlocks, blockCount } = shape;
  const sizes = [
    [16, 16],
    [16, 32],
    [16, 40],
    [64, 64],
    [64, 128],
    [groupBlocks, groupBlocks],
    [groupBlocks, 2 * groupBlocks],
    [groupBlocks, Math.floor(blockCount / 2)],
    [groupBlocks, blockCount - 1],
  ] as const;
  const smaller = sizes
    .filter(([group, count]) => count < blockCount && group <= groupBlocks && count >= 8)
    .map(([group, count]) => ({ ...shape, groupBlocks: group, blockCount: count }));
  const plain = { ...shape, metadataBlocks: 0, mapBudgetBytes: 1_000_000 };
  const isPlain = shape.metadataBlocks === 0 && shape.mapBudgetBytes === plain.mapBudgetBytes;
  const plainer = smaller.map((other) => ({ ...other, metadataBlocks: 0, mapBudgetBytes: 1_000_000 }));
  return [...plainer, ...smaller, ...(isPlain ? [] : [plain])];
}

function simplerOperations(operation: SpaceOperation): SpaceOperation[] {
  switch (operation.does) {
    case 'allocate':
      return simplerAllocations(operation);
    case 'fill':
      return [
        fillRequest(operation.length, 0),
        ...lower(operation.length).map((length) => ({ ...operation, length })),
      ];
    case 'punch':
      return [
        ...lower(operation.start).map((start) => ({ ...operation, start })),
        ...lower(operation.blocks).map((blocks) => ({ ...operation, blocks })),
      ];
    case 'cut':
    case 'grow':
      return lower(operation.blocks).map((blocks) => ({ ...operation, blocks }));
    default:
      return [];
  }
}

function simplerAllocations(operation: AllocateOperation): SpaceOperation[] {
  const { length, minimum, goal, kind, stream, held, file } = operation;
  const candidates: AllocateOperation[] = [];
  if (goal !== 'none') candidates.push({ ...operation, goal: 'none' });
  if (typeof goal === 'number') candidates.push(...lower(goal).map((at) => ({ ...operation, goal: at })));
  if (kind !== 'data') candidates.push({ ...operation, kind: 'data' });
  if (stream) candidates.push({ ...operation, stream: false });
  if (held) candidates.push({ ...operation, held: false });
  if (file !== 1) candidates.push({ ...operation, file: 1 });
  if (minimum > 1) candidates.push({ ...operation, minimum: 1 });
  for (const less of lower(length)) {
    candidates.push({ ...operation, length: less, minimum: Math.min(minimum, less) });
  }
  for (const less of lower(minimum)) candidates.push({ ...operation, minimum: less });
  return candidates;
}

/** Some smaller numbers, the smallest first. */
function lower(count: number): number[] {
  const candidates = [1, 2, Math.floor(count / 4), Math.floor(count / 2), count - 1];
  return [...new Set(candidates)].filter((less) => less >= 1 && less < count);
}
