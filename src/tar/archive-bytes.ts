/** The bytes of an archive, taken as its reader wants them, however they come. */
const NOTHING = Buffer.alloc(0);

export class ArchiveBytes {
  readonly #input: AsyncIterator<Uint8Array>;
  #chunk: Buffer = NOTHING;

  constructor(input: AsyncIterable<Uint8Array>) {
    this.#input = input[Symbol.asyncIterator]();
  }

  /** Some that come next, at most so many; none at the end. Valid until the next call. */
  async some(mostBytes: number): Promise<Buffer> {
    while (this.#chunk.length === 0) {
      const { value, done } = await this.#input.next();
      if (done) return NOTHING;
      this.#chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    }
    const taken = this.#chunk.subarray(0, mostBytes);
    this.#chunk = this.#chunk.subarray(taken.length);
    return taken;
  }

  /** So many, or what there is before the end; a copy. */
  async take(lengthBytes: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let rest = lengthBytes; rest > 0; ) {
      const part = await this.some(rest);
      if (part.length === 0) break;
      parts.push(Buffer.from(part));
      rest -= part.length;
    }
    return Buffer.concat(parts);
  }

  /** Reads to the end, so that whoever writes is not stopped. */
  async drain(): Promise<void> {
    this.#chunk = NOTHING;
    while (!(await this.#input.next()).done);
  }

  async close(): Promise<void> {
    await this.#input.return?.();
  }
}
