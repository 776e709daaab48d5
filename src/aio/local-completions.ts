/**
 * Ends requests that never reach a kernel: those that break the rules, and those of devices in
 * memory.
 *
 * The Device contract says that no request ends inside the call that queued it. So ends are
 * collected, and told from a microtask of their own.
 */
import type { IoCompletion } from './device.ts';

/**
 * Tells a completion; what it throws, although it must not, becomes an uncaught exception and harms
 * no other.
 */
export function tell(completion: IoCompletion, errno: number): void {
  try {
    completion.ioDone(errno);
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}

export class LocalCompletions {
  #completions: IoCompletion[] = [];
  #errnos: number[] = [];
  #pending = 0;
  readonly #onTold: () => void;
  readonly #tellAll = () => {
    const completions = this.#completions;
    const errnos = this.#errnos;
    this.#completions = [];
    this.#errnos = [];
    for (let at = 0; at < completions.length; at++)
      tell(completions[at] as IoCompletion, errnos[at] as number);
    this.#pending -= completions.length;
    this.#onTold();
  };

  /** @param onTold called after each round of ends. */
  constructor(onTold: () => void) {
    this.#onTold = onTold;
  }

  /** Requests whose end is not told yet. */
  get pending(): number {
    return this.#pending;
  }

  /** Ends a request with `errno`, soon. */
  end(completion: IoCompletion, errno: number): void {
    if (this.#completions.length === 0) queueMicrotask(this.#tellAll);
    this.#pending++;
    this.#completions.push(completion);
    this.#errnos.push(errno);
  }
}
