/**
 * Work on a long range of a file, in transactions of bounded size that others come in between of.
 *
 * A step that ends puts the next one into the runner's line from where it stands, and not in a
 * reaction to a promise: so the steps of a turn of the loop share its budget.
 */
import type { Claimant, Operation } from '../base/filesystem.ts';
import type { FileBlock } from '../base/numbers.ts';
import type { OperationRunner } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';

/** @returns where to go on. It may be performed more than once, and keeps nothing of a failure. */
type Step = (tx: Transaction, at: FileBlock) => FileBlock;

class Steps implements Operation<Transaction> {
  #next: FileBlock;

  constructor(
    readonly runner: OperationRunner,
    public at: FileBlock,
    readonly end: FileBlock,
    readonly step: Step,
    readonly done: (thrown: unknown) => void,
    readonly asker: Claimant | undefined,
  ) {
    this.#next = at;
  }

  get isLimited(): boolean {
    return this.asker?.isLimited === true;
  }

  perform(tx: Transaction): void {
    this.#next = this.step(tx, this.at);
  }

  finished(thrown: unknown): void {
    this.at = this.#next;
    if (thrown !== undefined || this.at >= this.end) this.done(thrown);
    else this.runner.executeInLine(this);
  }
}

/** Resolves when a step has come to `end`. @throws what a step throws */
export function inSteps(
  { runner, device }: { readonly runner: OperationRunner; readonly device: { submit(): void } },
  from: FileBlock,
  end: FileBlock,
  step: Step,
  asker?: Claimant,
): Promise<void> {
  if (from >= end) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const done = (thrown: unknown) => (thrown === undefined ? resolve() : reject(thrown));
    runner.executeInLine(new Steps(runner, from, end, step, done, asker));
    device.submit();
  });
}
