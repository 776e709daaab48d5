/** Commits a while after something changed, once for all that changed meanwhile. Does not keep the process alive. */
export class CommitTimer {
  readonly #milliseconds: number;
  readonly #commit: () => void;
  #timer: NodeJS.Timeout | undefined;

  /** @param seconds from a change to its commit; 0 = never */
  constructor(seconds: number, commit: () => void) {
    this.#milliseconds = seconds * 1000;
    this.#commit = commit;
  }

  /** Something changed. */
  start(): void {
    if (this.#timer !== undefined || this.#milliseconds === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#commit();
    }, this.#milliseconds);
    this.#timer.unref();
  }

  /** What was to come does not. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
