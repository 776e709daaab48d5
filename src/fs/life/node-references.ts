/**
 * Who still holds an inode: the lookup counts of the kernel, and the inodes without a name that
 * wait for theirs to end.
 *
 *   named ──last name goes──▶ held by the kernel ──last reference goes──▶ being freed ──▶ gone
 *     ▲                  └──────────── not held ────────────────────────▶    ▲
 *     └─────gets a name───── made without a name ──last reference goes───────┘
 *
 * Freeing itself is the work of `free`, a task of its own (file-resizer.ts), which is told an inode
 * once.
 */
import { FORGET_MILLISECONDS } from '../base/limits.ts';

/** Frees an inode without a name, and says when that is over, well or not. */
export type FreeInode = (inode: number, done: () => void) => void;

export class NodeReferences {
  readonly #free: FreeInode;
  readonly #counts = new Map<number, number>();
  /** Inodes without a name that the kernel still holds. */
  readonly #orphans = new Set<number>();
  /** Those of them that never had one, and may get it. */
  readonly #unnamed = new Set<number>();
  /** When the last of them lost its name: performance.now(). */
  #orphanedAt = Number.NEGATIVE_INFINITY;
  #freeing = 0;
  #settled: (() => void)[] = [];

  constructor(free: FreeInode) {
    this.#free = free;
  }

  /** Inodes that the kernel holds. */
  get size(): number {
    return this.#counts.size;
  }

  /** Those of them without a name. */
  get openOrphans(): number {
    return this.#orphans.size;
  }

  /** Inodes that are being freed. */
  get beingFreed(): number {
    return this.#freeing;
  }

  acquire(inode: number): void {
    this.#counts.set(inode, (this.#counts.get(inode) ?? 0) + 1);
  }

  /** Takes `count` references away. Returns whether they were the last. */
  release(inode: number, count: number): boolean {
    const left = (this.#counts.get(inode) ?? 0) - count;
    if (left > 0) {
      this.#counts.set(inode, left);
      return false;
    }
    this.#counts.delete(inode);
    if (this.#orphans.delete(inode)) {
      this.#unnamed.delete(inode);
      this.#begin(inode);
    }
    return true;
  }

  /**
   * The inode was made without a name. Who made it holds a reference from now on; nobody expects
   * its space back soon.
   */
  unnamed(inode: number): void {
    this.acquire(inode);
    this.#unnamed.add(inode);
    this.#orphans.add(inode);
  }

  /** Never had a name, and is still held. */
  isUnnamed(inode: number): boolean {
    return this.#unnamed.has(inode);
  }

  /** An inode without a name got one. */
  named(inode: number): void {
    this.#unnamed.delete(inode);
    this.#orphans.delete(inode);
  }

  /** The inode lost its last name. */
  orphaned(inode: number): void {
    if (!this.#counts.has(inode)) {
      this.#begin(inode);
      return;
    }
    this.#orphans.add(inode);
    this.#orphanedAt = performance.now();
  }

  #begin(inode: number): void {
    this.#freeing++;
    this.#free(inode, () => {
      if (--this.#freeing > 0 || this.#settled.length === 0) return;
      for (const tell of this.#settled.splice(0)) tell();
    });
  }

  /**
   * Inodes are being freed, or wait for the kernel, which may just not have said yet that it forgot
   * them.
   */
  get freesSoon(): boolean {
    if (this.#freeing > 0) return true;
    return this.#orphans.size > 0 && performance.now() - this.#orphanedAt < FORGET_MILLISECONDS;
  }

  /** Resolves when nothing is being freed. */
  async settled(): Promise<void> {
    while (this.#freeing > 0) await new Promise<void>((resolve) => this.#settled.push(resolve));
  }

  /** The mount is over: nobody holds anything. What is without a name is on the list on disk. */
  clear(): void {
    this.#counts.clear();
    this.#orphans.clear();
    this.#unnamed.clear();
  }
}
