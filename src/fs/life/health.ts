/**
 * What may be done to a mounted volume: its one state.
 *
 * ```
 *                 rest                    changed by nobody any more
 *   ┌──────────┐ ─────▶ ┌─────────┐      ┌───────────┐
 *   │ writable │        │ resting │      │ read-only │   as it was asked for at the mount
 *   └──────────┘ ◀───── └─────────┘      └───────────┘
 *        │        wake       │                 │
 *        └───────────────────┴────── damage ───┴──▶ damaged ── failure ──▶ failed
 *                                     (failure leads from every state to failed)
 * ```
 *
 *   resting    clean on disk; the first change wakes it (rest.ts). A mount may begin so
 *   damaged    corruption was met: what is in memory is written, and the volume is not marked clean
 *   failed     the device failed a commit, or memory is in doubt: nothing more is written
 *
 * Operations ask two fields of the transaction instead (`WriteGate`), which follow the state.
 */
import { strict as assert } from 'node:assert';
import { messageOf } from '../../common/thrown.ts';
import { type CorruptionError, FsError } from '../base/errors.ts';

export type HealthState = 'writable' | 'resting' | 'readOnly' | 'damaged' | 'failed';

/** What operations look at. */
export interface WriteGate {
  readOnly: boolean;
  /** Read-only until the first change. */
  resting: boolean;
  /** Read-only since somebody shut it down: changes are EIO. */
  shutDown: boolean;
}

/** What is in memory is in doubt, since an operation could be neither ended nor taken back. */
export class BrokenTransactionError extends Error {
  constructor(thrown: unknown) {
    super(`an operation could not be undone: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}

/** Somebody asked for it, by FS_IOC_SHUTDOWN. */
export class ShutDownError extends FsError {
  constructor() {
    super('EIO');
    this.message = 'it was shut down';
  }
}

/**
 * What ended the commits: the error of the device, unless it was one of ours. Empty if nothing did.
 */
export function failureInWords(failure: Error | undefined): string {
  if (failure === undefined) return '';
  if (failure instanceof BrokenTransactionError || failure instanceof ShutDownError) return failure.message;
  return `writing to the device failed (${failure.message})`;
}

export class Health {
  readonly #gate: WriteGate;
  readonly #log: (line: string) => void;
  #state: HealthState;

  /** @param gate as it is to be at the mount */
  constructor(gate: WriteGate, log: (line: string) => void) {
    this.#gate = gate;
    this.#log = log;
    const closed = gate.resting ? 'resting' : 'readOnly';
    this.#state = gate.readOnly ? closed : 'writable';
  }

  get state(): HealthState {
    return this.#state;
  }

  /** Whether it may be marked clean at its end. */
  get sound(): boolean {
    return this.#state !== 'damaged' && this.#state !== 'failed';
  }

  /** Nothing becomes dirty from here on. */
  rest(): void {
    assert(this.#state === 'writable', `a volume that is ${this.#state} cannot rest`);
    this.#enter('resting');
  }

  /** Changes are let in again. */
  wake(): void {
    assert(this.#state === 'resting', `a volume that is ${this.#state} cannot wake`);
    this.#enter('writable');
  }

  /** Corruption was met. */
  damage(error: CorruptionError): void {
    if (!this.sound) return;
    this.#log(`corruption: ${error.message}; the volume is read-only from now on; run 'quarry fsck' on it`);
    this.#enter('damaged');
  }

  /** What fails next was asked for. */
  shutDown(): void {
    this.#gate.shutDown = true;
  }

  /** The device failed a commit, or memory is in doubt. */
  fail(error: Error): void {
    this.#log(`${failureInWords(error)}: the volume is read-only now`);
    this.#enter('failed');
  }

  #enter(state: HealthState): void {
    this.#state = state;
    this.#gate.readOnly = state !== 'writable';
    this.#gate.resting = state === 'resting';
  }
}
