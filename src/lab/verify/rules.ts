/**
 * The rules that a policy keeps, as data: docs/ALLOCATORS.md says the same in prose.
 *
 * A rule that is broken is thrown where it is noticed, and becomes a `BrokenRule` with the place in
 * the history.
 */

export const RULES = {
  creates: 'create() makes an object with an allocate function',
  'run-or-undefined': 'allocate() answers a run { start, length } of whole numbers, or undefined',
  'inside-the-space': 'a run lies inside the space, also after the volume has grown',
  'one-group': 'a run does not cross from one group to the next',
  length: 'a run has minimum to length blocks',
  free: 'every block of a run is free when the run is answered',
  'finds-room': 'undefined is answered only where there is no run of minimum blocks',
  'full-length': 'a volume that is nearly empty gives the full length',
  'asked-again': 'a request asked again after a miss is answered as if there had been no miss',
  throws: 'no hook throws, but for what the space throws',
  returns: 'every hook returns',
  outside: 'nothing happens outside of the hooks: no error that nobody caught, no end of the process',
  figures: 'stats() returns an object of numbers',
  'own-index': "checkInvariants() finds the policy's own index in agreement with the space",
} as const;

export type RuleName = keyof typeof RULES;

/** What was asked, what was answered, and why that is wrong: each the end of a sentence. */
export interface Breach {
  readonly rule: RuleName;
  readonly asked: string;
  readonly answered: string;
  readonly why: string;
}

/** Thrown through the history that is performed; caught where it began. */
export class RuleBroken extends Error {
  override readonly name = 'RuleBroken';
  readonly breach: Breach;

  constructor(breach: Breach) {
    super(`${breach.asked}: ${breach.answered}: ${breach.why}`);
    this.breach = breach;
  }
}
