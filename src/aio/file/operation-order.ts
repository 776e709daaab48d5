/**
 * Which operations of a file may run beside each other, and what comes after what.
 *
 * Operations join phases. Direct writes run beside each other; so do writes through the page cache;
 * but not one kind beside the other, since a page written back whole would undo a direct write to a
 * part of it. A truncation runs alone. Reads run beside both kinds of writes. A phase opens when
 * every earlier one that it cannot run beside is over, and operations join the last phase or start
 * a new one, so nobody is overtaken and nobody starves.
 *
 *   const phase = order.enter('direct');
 *   if (phase.open) start(); else phase.waiting.push(start);
 *   …
 *   order.leave(phase);
 *
 * `afterAll` calls back when everything that has entered so far has left: the barrier of sync,
 * drain and close.
 */
export type OperationKind = 'read' | 'direct' | 'cached' | 'alone';

export interface Phase {
  readonly kind: 'direct' | 'cached' | 'alone';
  /** Whether its operations may run. */
  open: boolean;
  /** Operations that have entered and not left. */
  count: number;
  /** Nobody joins any more. */
  sealed: boolean;
  /** To be called when it opens, in the order of entering. */
  readonly waiting: (() => void)[];
  /** To be called when it and all before it are over. */
  watchers: (() => void)[];
}

export class OperationOrder {
  /** In order of time; empty only when nothing is under way. */
  readonly #phases: Phase[] = [];

  get idle(): boolean {
    return this.#phases.every(({ count }) => count === 0);
  }

  /** Whether an operation that runs alone is still to come or under way. */
  get lonely(): boolean {
    return this.#phases.some(({ kind }) => kind === 'alone');
  }

  enter(kind: OperationKind): Phase {
    const last = this.#phases[this.#phases.length - 1];
    const phase = last && !last.sealed && joins(kind, last) ? last : this.#begin(kind);
    phase.count++;
    return phase;
  }

  leave(phase: Phase): void {
    phase.count--;
    if (phase.count > 0) return;
    const { length } = this.#phases;
    if (length === 1 && !phase.sealed && phase.watchers.length === 0 && phase.kind === 'direct') return;
    this.#remove(phase);
  }

  /** Calls back when all that has entered has left; at once when nothing is under way. */
  afterAll(watcher: () => void): void {
    const last = this.#phases.at(-1);
    if (last === undefined || this.idle) {
      watcher();
      return;
    }
    last.sealed = true;
    last.watchers.push(watcher);
  }

  #begin(kind: OperationKind): Phase {
    const phase: Phase = {
      kind: kind === 'read' ? 'direct' : kind,
      open: false,
      count: 0,
      sealed: false,
      waiting: [],
      watchers: [],
    };
    this.#dropEmpty();
    this.#phases.push(phase);
    phase.open = this.#mayOpen(phase, this.#phases.length - 1);
    return phase;
  }

  /** Takes away the one phase that was kept although it is empty. */
  #dropEmpty(): void {
    if (this.#phases.length === 1 && this.#phases[0]?.count === 0) this.#phases.pop();
  }

  /** May this phase, which is number `at`, run beside all before it? */
  #mayOpen(phase: Phase, at: number): boolean {
    return this.#phases
      .slice(0, at)
      .every((earlier) => earlier.kind === phase.kind && phase.kind !== 'alone');
  }

  #remove(phase: Phase): void {
    const at = this.#phases.indexOf(phase);
    this.#phases.splice(at, 1);
    const earlier = this.#phases[at - 1];
    if (earlier) {
      earlier.watchers.push(...phase.watchers);
      earlier.sealed = earlier.sealed || phase.watchers.length > 0;
    }
    const opening = this.#phases.filter((later, index) => !later.open && this.#mayOpen(later, index));
    for (const later of opening) later.open = true;
    if (!earlier) for (const watcher of phase.watchers) watcher();
    for (const later of opening) for (const start of later.waiting.splice(0)) start();
  }
}

function joins(kind: OperationKind, phase: Phase): boolean {
  if (phase.kind === 'alone') return false;
  return kind === 'read' || kind === phase.kind;
}
