/**
 * What a kernel keeps of writes before a filesystem sees them, as far as placing blocks goes.
 *
 * Bytes that follow each other in a file are gathered; they go out as one write of up to a mebibyte
 * when the file is closed or synced, when the cache has enough of all files (the longest dirty file
 * first), or when they are old. A write elsewhere in the same file lets out what was gathered
 * before.
 */

/** The longest write that the kernel hands over. */
export const MOST_WRITE_BYTES = 1024 * 1024;
/** What may be dirty before files are written out. */
const MOST_DIRTY_BYTES = 16 * 1024 * 1024;
/** vm.dirty_expire_centisecs of Linux. */
const OLD_SECONDS = 30;

export interface DirtyRange {
  readonly file: number;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

interface Gathered {
  offsetBytes: number;
  lengthBytes: number;
  readonly since: number;
}

export class PageCache {
  /** By file, in the order in which they became dirty. */
  readonly #dirty = new Map<number, Gathered>();
  #dirtyBytes = 0;

  /** @returns what goes out now, in order */
  write(file: number, offsetBytes: number, lengthBytes: number, now: number): DirtyRange[] {
    const out: DirtyRange[] = [];
    const before = this.#dirty.get(file);
    const follows = before !== undefined && before.offsetBytes + before.lengthBytes === offsetBytes;
    if (before !== undefined && !follows) out.push(...this.take(file));
    if (follows) before.lengthBytes += lengthBytes;
    else this.#dirty.set(file, { offsetBytes, lengthBytes, since: now });
    this.#dirtyBytes += lengthBytes;
    while (this.#dirtyBytes > MOST_DIRTY_BYTES) out.push(...this.#takeOldest());
    return out;
  }

  /** Everything gathered of the file. */
  take(file: number): DirtyRange[] {
    const gathered = this.#dirty.get(file);
    if (gathered === undefined) return [];
    this.drop(file);
    const out: DirtyRange[] = [];
    for (let done = 0; done < gathered.lengthBytes; ) {
      const offsetBytes = gathered.offsetBytes + done;
      // A write begins at most a mebibyte before the next multiple of it.
      const room = MOST_WRITE_BYTES - (offsetBytes % MOST_WRITE_BYTES);
      const lengthBytes = Math.min(room, gathered.lengthBytes - done);
      out.push({ file, offsetBytes, lengthBytes });
      done += lengthBytes;
    }
    return out;
  }

  /** The file is gone or cut. */
  drop(file: number): void {
    this.#dirtyBytes -= this.#dirty.get(file)?.lengthBytes ?? 0;
    this.#dirty.delete(file);
  }

  /** What is old by now, or all of it. */
  takeOld(now: number, all = false): DirtyRange[] {
    const out: DirtyRange[] = [];
    for (const [file, { since }] of this.#dirty) {
      if (!all && now - since < OLD_SECONDS) break;
      out.push(...this.take(file));
    }
    return out;
  }

  #takeOldest(): DirtyRange[] {
    for (const file of this.#dirty.keys()) return this.take(file);
    return [];
  }
}
