/**
 * A round of the survey (space-survey.ts): looks at groups that changed, as long as a round may
 * take. What is left comes with the next round.
 *
 * Each group is copied in a transaction that changes nothing, in line behind whatever waits, and
 * walked through in steps, so no turn of the event loop grows with the volume. Bitmaps that are not
 * in the cache are read; that too is bounded by the round.
 */
import type { Operation } from '../base/filesystem.ts';
import type { Turns } from '../base/turns.ts';
import type { OperationRunner } from '../transaction/operation-runner.ts';
import type { GroupWalk, SpaceSurvey } from '../transaction/space-survey.ts';
import type { Transaction } from '../transaction/transaction.ts';

/** A round ends after so many groups, 126 GiB in blocks of 4 KiB, … */
const MOST_GROUPS = 1024;
/** … or after so long, but for the first group. */
const MOST_MILLISECONDS = 50;

/** What a round needs of a volume. */
export interface SurveyedVolume {
  readonly runner: OperationRunner;
  readonly turns: Turns;
  readonly device: { submit(): void };
}

class SurveyRound implements Operation<Transaction> {
  readonly #ends: number;
  #left = MOST_GROUPS;
  #group = -1;
  #walk: GroupWalk | undefined;

  constructor(
    private readonly volume: SurveyedVolume,
    private readonly survey: SpaceSurvey,
    private readonly done: (thrown: unknown) => void,
  ) {
    this.#ends = volume.turns.now() + MOST_MILLISECONDS;
  }

  next(): void {
    const isFirst = this.#left === MOST_GROUPS;
    const isOver = this.#left === 0 || (!isFirst && this.volume.turns.now() >= this.#ends);
    this.#left--;
    this.#group = isOver ? -1 : this.survey.take();
    if (this.#group < 0) this.done(undefined);
    else this.volume.runner.executeInLine(this);
  }

  perform(): void {
    this.#walk = this.survey.walk(this.#group);
  }

  /** A group whose bitmap cannot be read stays as it was known. */
  finished(thrown: unknown): void {
    if (thrown !== undefined) {
      this.done(thrown);
      return;
    }
    const walking = this.volume.turns.inSteps(() => this.#walk?.step() ?? true);
    if (walking === undefined) this.next();
    else walking.then(() => this.next(), this.done);
  }
}

/** Resolves when the round is over. @throws what a bitmap could not be read for */
export function surveyRound(volume: SurveyedVolume, survey: SpaceSurvey): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (thrown: unknown) => (thrown === undefined ? resolve() : reject(thrown));
    new SurveyRound(volume, survey, done).next();
    volume.device.submit();
  });
}
