/**
 * A sorted set of whole numbers: pages of keys in order, in place of a tree.
 *
 * A key is found by halving, first over the pages, then in one; putting it in moves the rest of a
 * page, at most 4 KiB. A full page is split, and one that has become small is joined to the next if
 * both fit in half a page. So everything costs the logarithm of the set and the copy of a page, and
 * a key costs 8 bytes, on average 12 with the room in its page.
 *
 * Invariants: K1 no page is empty; K2 keys rise, within a page and from page to page; K3 `size` is
 * their number.
 */

const PAGE_KEYS = 512;

interface Page {
  count: number;
  readonly keys: Float64Array;
}

export class SortedKeys {
  readonly #pages: Page[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Of its pages, with the room in them. */
  get memoryBytes(): number {
    return this.#pages.length * PAGE_KEYS * 8;
  }

  /** @throws Error if the key is there already. */
  add(key: number): void {
    const index = Math.max(0, this.#pageOf(key));
    const page = this.#pages[index] ?? this.#newPage(index);
    const at = placeIn(page, key);
    if (at < page.count && page.keys[at] === key) throw new Error(`key ${key} is in the set already`);
    page.keys.copyWithin(at + 1, at, page.count);
    page.keys[at] = key;
    page.count++;
    this.#size++;
    if (page.count === PAGE_KEYS) this.#split(index, page);
  }

  /** @throws Error if the key is not there. */
  delete(key: number): void {
    const index = this.#pageOf(key);
    const page = this.#pages[index];
    const at = page === undefined ? 0 : placeIn(page, key);
    if (page === undefined || at === page.count || page.keys[at] !== key)
      throw new Error(`key ${key} is not in the set`);
    page.keys.copyWithin(at, at + 1, page.count);
    page.count--;
    this.#size--;
    if (page.count === 0) this.#pages.splice(index, 1);
    else if (page.count < PAGE_KEYS / 4) this.#join(index, page);
  }

  /** The lowest key that is `key` or more, or −1. Keys are not negative. */
  atLeast(key: number): number {
    const index = Math.max(0, this.#pageOf(key));
    const page = this.#pages[index];
    if (page === undefined) return -1;
    const at = placeIn(page, key);
    if (at < page.count) return page.keys[at] as number;
    return this.#pages[index + 1]?.keys[0] ?? -1;
  }

  /** The highest key below `key`, or −1. */
  below(key: number): number {
    const index = this.#pageOf(key);
    const page = this.#pages[index];
    if (page === undefined) return -1;
    const at = placeIn(page, key);
    if (at > 0) return page.keys[at - 1] as number;
    const before = this.#pages[index - 1];
    return before === undefined ? -1 : (before.keys[before.count - 1] as number);
  }

  /** @throws Error if an invariant does not hold. */
  checkInvariants(): void {
    let last = -1;
    let counted = 0;
    for (const { count, keys } of this.#pages) {
      if (count === 0) throw new Error('K1: an empty page');
      for (const key of keys.subarray(0, count)) {
        if (key <= last) throw new Error(`K2: key ${key} after ${last}`);
        last = key;
      }
      counted += count;
    }
    if (counted !== this.#size) throw new Error(`K3: ${counted} keys, ${this.#size} counted`);
  }

  /** The last page that begins at `key` or below, or −1: only there the key can be. */
  #pageOf(key: number): number {
    let low = 0;
    let high = this.#pages.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#pages[middle]?.keys[0] ?? 0) <= key) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #newPage(index: number): Page {
    const page = { count: 0, keys: new Float64Array(PAGE_KEYS) };
    this.#pages.splice(index, 0, page);
    return page;
  }

  #split(index: number, page: Page): void {
    const half = PAGE_KEYS / 2;
    const upper = this.#newPage(index + 1);
    upper.keys.set(page.keys.subarray(half));
    upper.count = PAGE_KEYS - half;
    page.count = half;
  }

  #join(index: number, page: Page): void {
    const next = this.#pages[index + 1];
    if (next === undefined || page.count + next.count > PAGE_KEYS / 2) return;
    page.keys.set(next.keys.subarray(0, next.count), page.count);
    page.count += next.count;
    this.#pages.splice(index + 1, 1);
  }
}

/** Where the key is in the page, or would be. */
function placeIn({ keys, count }: Page, key: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as number) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
