/** A list of cases about one subject; each is written once and runs on every harness that can. */
import type { Calls, Capability } from './calls.ts';

export interface PosixCase {
  readonly name: string;
  readonly needs: readonly Capability[];
  readonly run: (fs: Calls) => Promise<void>;
}

export class Subject {
  readonly cases: PosixCase[] = [];

  /** @param smallVolume its cases need a small volume that nobody else changes */
  constructor(
    readonly name: string,
    readonly smallVolume = false,
  ) {}

  /** @param run has an empty directory of its own, and leaves it as it likes */
  case(name: string, run: (fs: Calls) => Promise<void>, ...needs: Capability[]): void {
    this.cases.push({ name, needs, run });
  }
}
