/**
 * Work on a long range of a file, in transactions of bounded size that others come in between of.
 *
 * A step that ends puts the next one into the runner's line from where it stands, and not in a
 * reaction to a promise: so the steps of a turn of the loop share its budget.
 */
import type { Claimant, Operation } from '../base/filesystem.ts';
import type { FileBlock, FileSpan } from '../base/numbers.ts';
import type { OperationRunner } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';

/** @returns where to go on. It may be performed more than once, and keeps nothing of a failure. */
type Step = (tx: Transaction, at: FileBlock) => FileBlock;

interface Work extends FileSpan {
  readonly runner: OperationRunner;
  readonly step: Step;
  readonly asker: Claimant | undefined;
}

class Steps implements Operation<Transaction> {
  #at: FileBlock;
  #next: FileBlock;

  constructor(
    readonly work: Work,
    readonly done: (thrown: unknown) => void,
  ) {
    this.#at = work.first;
    this.#next = work.first;
  }

  get isLimited(): boolean {
    return this.work.asker?.isLimited === true;
  }

  perform(tx: Transaction): void {
    this.#next = this.work.step(tx, this.#at);
  }

  finished(thrown: unknown): void {
    this.#at = this.#next;
    if (thrown !== undefined || this.#at >= this.work.end) this.done(thrown);
    else this.work.runner.executeInLine(this);
  }
}

/** Resolves when a step has come to `end`. @throws what a step throws */
export function inSteps(
  { runner, device }: { readonly runner: OperationRunner; readonly device: { submit(): void } },
  { first, end }: FileSpan,
  step: Step,
  asker?: Claimant,
): Promise<void> {
  if (first >= end) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const done = (thrown: unknown) => (thrown === undefined ? resolve() : reject(thrown));
    runner.executeInLine(new Steps({ runner, first, end, step, asker }, done));
    device.submit();
  });
}
