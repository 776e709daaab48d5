/**
 * A first-in-first-out line of request tokens, in a ring of numbers that doubles when it is full.
 */
const FIRST_CAPACITY = 64;

export class TokenRing {
  #tokens = new Int32Array(FIRST_CAPACITY);
  #start = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Adds a token at the end. */
  push(token: number): void {
    if (this.#count === this.#tokens.length) this.#grow();
    this.#tokens[(this.#start + this.#count++) & (this.#tokens.length - 1)] = token;
  }

  /** Takes the first token; the ring must not be empty. */
  shift(): number {
    const token = this.#tokens[this.#start] as number;
    this.#start = (this.#start + 1) & (this.#tokens.length - 1);
    this.#count--;
    return token;
  }

  /**
   * Takes a token out of wherever it stands, in time linear in the length. False when it is not
   * there.
   */
  remove(token: number): boolean {
    const left = this.#inOrder().filter((other) => other !== token);
    if (left.length === this.#count) return false;
    this.#tokens.set(left);
    this.#start = 0;
    this.#count = left.length;
    return true;
  }

  #inOrder(): Int32Array {
    const mask = this.#tokens.length - 1;
    return Int32Array.from(
      { length: this.#count },
      (_, at) => this.#tokens[(this.#start + at) & mask] as number,
    );
  }

  #grow(): void {
    const tokens = new Int32Array(this.#tokens.length * 2);
    tokens.set(this.#inOrder());
    this.#tokens = tokens;
    this.#start = 0;
  }
}
