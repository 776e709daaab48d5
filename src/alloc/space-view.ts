/**
 * The free space as a policy of somebody else sees it: questions only, answered only while one of
 * its hooks runs.
 *
 * Nothing behind it can be reached or changed: the object, its class and its prototype are frozen,
 * the index is private, and answers are new objects. An argument that is no whole number, or names
 * a group that does not exist, throws in the face of the asker, before it becomes the number of a
 * block. A question from a timer or a promise throws too: between two hooks the space may be in the
 * midst of a change.
 *
 * What the index itself throws, above all that a bitmap is not in memory, is noted at the gate, so
 * that it reaches the volume also when the policy swallows it.
 */
import type { FreeSpace, Run } from './allocator.ts';
import { describeValue } from './foreign-values.ts';

/** Open while a hook runs. */
export class SpaceGate {
  #open = false;
  #failed = false;
  #thrown: unknown;

  enter(): void {
    this.#open = true;
    this.#failed = false;
    this.#thrown = undefined;
  }

  leave(): void {
    this.#open = false;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Since `enter` the index could not answer. */
  get failed(): boolean {
    return this.#failed;
  }

  /** What it threw, the first time. */
  get thrown(): unknown {
    return this.#thrown;
  }

  /** Notes what the index threw, and hands it on. */
  note(thrown: unknown): unknown {
    if (!this.#failed) this.#thrown = thrown;
    this.#failed = true;
    return thrown;
  }
}

/** A whole number, or an infinite one, which every search may be given as its limit. */
function expectWhole(question: string, name: string, value: unknown): void {
  if (typeof value === 'number' && (Number.isInteger(value) || Math.abs(value) === Number.POSITIVE_INFINITY))
    return;
  throw new RangeError(
    `the space was asked ${question} with ${name} ${describeValue(value)}, which is no whole number`,
  );
}

export class SpaceView implements FreeSpace {
  readonly groupBlocks: number;
  readonly #index: FreeSpace;
  readonly #gate: SpaceGate;

  constructor(index: FreeSpace, gate: SpaceGate) {
    this.#index = index;
    this.#gate = gate;
    this.groupBlocks = index.groupBlocks;
    Object.freeze(this);
  }

  get blockCount(): number {
    return this.#index.blockCount;
  }

  get groupCount(): number {
    return this.#index.groupCount;
  }

  get freeBlocks(): number {
    this.#expectOpen();
    try {
      return this.#index.freeBlocks;
    } catch (thrown) {
      throw this.#gate.note(thrown);
    }
  }

  freeInGroup(group: number): number {
    this.#expectOpen();
    expectWhole('freeInGroup()', 'group', group);
    if (group < 0 || group >= this.groupCount) {
      throw new RangeError(`the space was asked freeInGroup(${group}), and has ${this.groupCount} groups`);
    }
    try {
      return this.#index.freeInGroup(group);
    } catch (thrown) {
      throw this.#gate.note(thrown);
    }
  }

  nextGroup(from: number, minimum: number): number {
    this.#expectOpen();
    expectWhole('nextGroup()', 'from', from);
    expectWhole('nextGroup()', 'minimum', minimum);
    try {
      return this.#index.nextGroup(from, minimum);
    } catch (thrown) {
      throw this.#gate.note(thrown);
    }
  }

  isFree(block: number): boolean {
    this.#expectOpen();
    expectWhole('isFree()', 'block', block);
    try {
      return this.#index.isFree(block);
    } catch (thrown) {
      throw this.#gate.note(thrown);
    }
  }

  nextFree(from: number, limit: number): number {
    return this.findRun(from, limit, 1, 1)?.start ?? -1;
  }

  freeRunLength(block: number, most: number): number {
    this.#expectOpen();
    expectWhole('freeRunLength()', 'block', block);
    expectWhole('freeRunLength()', 'most', most);
    try {
      return this.#index.freeRunLength(block, most);
    } catch (thrown) {
      throw this.#gate.note(thrown);
    }
  }

  // biome-ignore lint/complexity/useMaxParams: what policies call, in their innermost loops.
  findRun(
    from: number,
    limit: number,
    minimum: number,
    length: number,
    patience = Number.POSITIVE_INFINITY,
  ): Run | undefined {
    this.#expectOpen();
    expectWhole('findRun()', 'from', from);
    expectWhole('findRun()', 'limit', limit);
    expectWhole('findRun()', 'minimum', minimum);
    expectWhole('findRun()', 'length', length);
    expectWhole('findRun()', 'patience', patience);
    try {
      return this.#index.findRun(from, limit, Math.max(1, minimum), length, patience);
    } catch (thrown) {
      throw this.#gate.note(thrown);
    }
  }

  runAround(block: number): Run | undefined {
    this.#expectOpen();
    expectWhole('runAround()', 'block', block);
    try {
      return this.#index.runAround(block);
    } catch (thrown) {
      throw this.#gate.note(thrown);
    }
  }

  runBefore(block: number): Run | undefined {
    this.#expectOpen();
    expectWhole('runBefore()', 'block', block);
    try {
      return this.#index.runBefore(block);
    } catch (thrown) {
      throw this.#gate.note(thrown);
    }
  }

  runAfter(block: number): Run | undefined {
    this.#expectOpen();
    expectWhole('runAfter()', 'block', block);
    try {
      return this.#index.runAfter(block);
    } catch (thrown) {
      throw this.#gate.note(thrown);
    }
  }

  smallestRun(minimum: number, near = 0, patience = Number.POSITIVE_INFINITY): Run | undefined {
    this.#expectOpen();
    expectWhole('smallestRun()', 'minimum', minimum);
    expectWhole('smallestRun()', 'near', near);
    expectWhole('smallestRun()', 'patience', patience);
    try {
      return this.#index.smallestRun(minimum, near, patience);
    } catch (thrown) {
      throw this.#gate.note(thrown);
    }
  }

  longestRun(near = 0, patience = Number.POSITIVE_INFINITY): Run | undefined {
    this.#expectOpen();
    expectWhole('longestRun()', 'near', near);
    expectWhole('longestRun()', 'patience', patience);
    try {
      return this.#index.longestRun(near, patience);
    } catch (thrown) {
      throw this.#gate.note(thrown);
    }
  }

  #expectOpen(): void {
    if (!this.#gate.isOpen) throw new Error('the space was asked while no hook of the allocator was running');
  }
}

Object.freeze(SpaceView);
Object.freeze(SpaceView.prototype);
