/**
 * A space of which one question fails, as if a bitmap were not in memory: which one is said before.
 */
import type { FreeSpace, Run } from '../../alloc/allocator.ts';
import { MISS } from './bitmap-disk.ts';

export class FailingSpace implements FreeSpace {
  readonly #space: FreeSpace;
  /** Questions until one fails; 0 = none. */
  #left = 0;

  constructor(space: FreeSpace) {
    this.#space = space;
  }

  /** The next question number `question`, from 1, throws; 0 = none does. */
  failAt(question: number): void {
    this.#left = question;
  }

  get blockCount(): number {
    return this.#space.blockCount;
  }

  get freeBlocks(): number {
    return this.#space.freeBlocks;
  }

  get groupBlocks(): number {
    return this.#space.groupBlocks;
  }

  get groupCount(): number {
    return this.#space.groupCount;
  }

  freeInGroup(group: number): number {
    this.#count();
    return this.#space.freeInGroup(group);
  }

  nextGroup(from: number, minimum: number): number {
    this.#count();
    return this.#space.nextGroup(from, minimum);
  }

  isFree(block: number): boolean {
    this.#count();
    return this.#space.isFree(block);
  }

  nextFree(from: number, limit: number): number {
    this.#count();
    return this.#space.nextFree(from, limit);
  }

  freeRunLength(block: number, most: number): number {
    this.#count();
    return this.#space.freeRunLength(block, most);
  }

  // biome-ignore lint/complexity/useMaxParams: what policies call, in their innermost loops.
  findRun(from: number, limit: number, minimum: number, length: number, patience?: number): Run | undefined {
    this.#count();
    return this.#space.findRun(from, limit, minimum, length, patience);
  }

  runAround(block: number): Run | undefined {
    this.#count();
    return this.#space.runAround(block);
  }

  runBefore(block: number): Run | undefined {
    this.#count();
    return this.#space.runBefore(block);
  }

  runAfter(block: number): Run | undefined {
    this.#count();
    return this.#space.runAfter(block);
  }

  smallestRun(minimum: number, near?: number, patience?: number): Run | undefined {
    this.#count();
    return this.#space.smallestRun(minimum, near, patience);
  }

  longestRun(near?: number, patience?: number): Run | undefined {
    this.#count();
    return this.#space.longestRun(near, patience);
  }

  #count(): void {
    if (this.#left > 0 && --this.#left === 0) throw MISS;
  }
}
