/**
 * What a time stamp may be: spans of nanoseconds since 1970, of which one holds it.
 *
 * A call that stamps does so between its begin and its end, so afterwards the stamp is a span. Once
 * it was read it is exactly that, until the next call that stamps: whoever asks later, with a cold
 * cache or after a remount, must be told the same.
 */

export interface Span {
  /** Both belong to it. */
  readonly from: bigint;
  readonly to: bigint;
}

const MOST_SPANS = 8;

/** What a coarse clock may be behind, in nanoseconds. */
const TICK = 10_000_000n;

export class Moment {
  #spans: Span[];
  #batch = -1;
  #toldAt: bigint | undefined;

  constructor(span: Span) {
    this.#spans = [span];
  }

  get earliest(): bigint {
    let found = this.#first.from;
    for (const { from } of this.#spans) if (from < found) found = from;
    return found;
  }

  get latest(): bigint {
    let found = this.#first.to;
    for (const { to } of this.#spans) if (to > found) found = to;
    return found;
  }

  get #first(): Span {
    const [first] = this.#spans;
    if (!first) throw new Error('a moment without a span');
    return first;
  }

  /**
   * Stamped in that span; calls of one batch run at the same time, and any of them may have been
   * the last.
   */
  set(span: Span, batch: number): void {
    if (batch === this.#batch) this.#add(span);
    else this.#spans = [span];
    this.#batch = batch;
  }

  /** Perhaps stamped in that span. */
  perhaps(span: Span, batch: number): void {
    this.#add(span);
    this.#batch = batch;
  }

  /** Given as it is, by a call that runs alone. */
  exactly(value: bigint): void {
    this.#spans = [{ from: value, to: value }];
    this.#batch = -1;
  }

  allows(value: bigint): boolean {
    return this.#spans.some(({ from, to }) => from <= value && value <= to);
  }

  /**
   * As `allows`, for a time that the kernel moves when it likes: it reads ahead, around a fault,
   * and for the rest of a page, and does not wait for what it reads so. If it was perhaps moved at
   * all, it may have been at any moment since it was told.
   *
   * @param until a later moment up to which it may have been moved whatever the model knows
   */
  allowsSinceTold(value: bigint, until: bigint | undefined): boolean {
    if (this.allows(value)) return true;
    const mayHaveMoved = until !== undefined || this.#spans.some(({ from, to }) => from !== to);
    if (!mayHaveMoved || this.#toldAt === undefined) return false;
    return value >= this.#toldAt - TICK && value <= (until ?? this.latest);
  }

  /** It was told at that moment. */
  learn(value: bigint, toldAt: bigint): void {
    this.exactly(value);
    this.#toldAt = toldAt;
  }

  #add(span: Span): void {
    this.#spans.push(span);
    if (this.#spans.length <= MOST_SPANS) return;
    this.#spans = [{ from: this.earliest, to: this.latest }];
  }

  toString(): string {
    const texts = this.#spans.map(({ from, to }) =>
      from === to ? timeText(from) : `${timeText(from)}…${timeText(to)}`,
    );
    const told = this.#toldAt === undefined ? '' : `, as told last at ${timeText(this.#toldAt)}`;
    return texts.join(' or ') + told;
  }
}

/** Seconds with nine digits behind the point. */
export function timeText(nanoseconds: bigint): string {
  const seconds = nanoseconds / 1_000_000_000n - (nanoseconds % 1_000_000_000n < 0n ? 1n : 0n);
  return `${seconds}.${String(nanoseconds - seconds * 1_000_000_000n).padStart(9, '0')}`;
}

/** @param text as the worker writes it: seconds, a point, nanoseconds without zeros in front */
export function parseTime(text: string): bigint {
  const [seconds = '0', nanoseconds = '0'] = text.split('.');
  return BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
}
