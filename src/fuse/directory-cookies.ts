/**
 * Directory positions of 31 bits, for 32-bit programs, in place of the filesystem's cookies of 52.
 *
 *   offset   0 … 15         that cookie
 *            16 + n         behind all cookies of group n: those with the same upper bits
 *            2^30 + 2^20 …  behind one cookie within a group; which one is remembered here
 *
 * So nearly every offset is a function of the cookie alone: it outlives the mount and costs no
 * memory. The number n is not the upper bits themselves, which are a part of the name's hash, but a
 * permutation of them under a secret: no offset tells anybody how a name hashes. Groups of more
 * than one entry are rare (466 pairs are expected among a million names), and within one only the
 * last entry has the offset of the group. The others need offsets of their own, because the kernel
 * may stop behind any entry: a program whose buffer is shorter than our answer goes on from there.
 *
 * What is remembered is bounded: the oldest offset is forgotten when its place is needed. One that
 * is not known any more is refused, rather than that a listing leaves out names.
 */
import { fsError } from '../fs/base/errors.ts';

/** Cookies below this are offsets themselves: '.' and '..' must not share a group. */
const PLAIN_COOKIES = 16;
/** Cookies in a group, so that 2^52 of them make 2^30 groups. */
const GROUP_COOKIES = 2 ** 22;
const COOKIE_LIMIT = 2 ** 53;
const FIRST_REMEMBERED = 2 ** 30 + 2 ** 20;
const OFFSET_LIMIT = 2 ** 31;
/** Places for offsets within groups: twice as many as there are entries in the largest answer. */
const REMEMBERED = 2 ** 16;

/** Groups of the permutation: two halves of this many bits. */
const HALF_BITS = 15;
const HALF_MASK = 2 ** HALF_BITS - 1;
const GROUPS = 2 ** (2 * HALF_BITS);

/** One half of a group's number, stirred with a word of the secret. */
function stirred(half: number, word: number): number {
  let mixed = Math.imul(half + word, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) & HALF_MASK;
}

export class DirectoryCookies {
  readonly #secret: readonly number[];
  readonly #secretBackwards: readonly number[];
  /** By `offset mod REMEMBERED`: the offset that was given last, and its cookie. */
  readonly #offsets: number[] = [];
  readonly #cookies: number[] = [];
  readonly #offsetOf = new Map<number, number>();
  #next = FIRST_REMEMBERED;

  /** @param secret words of 32 bits that stay the same from mount to mount */
  constructor(secret: readonly number[]) {
    this.#secret = secret;
    this.#secretBackwards = [...secret].reverse();
  }

  /** The offset of the last entry of its group. */
  groupOffset(cookie: number): number {
    if (cookie < PLAIN_COOKIES) return cookie;
    return PLAIN_COOKIES + this.#permuted(Math.floor(cookie / GROUP_COOKIES));
  }

  /** A Feistel network: its own inverse, but for the order of the words. */
  #permuted(group: number, secret = this.#secret): number {
    // The last cookies of all reach one group further than there are hashes.
    if (group >= GROUPS) return group;
    let left = group >>> HALF_BITS;
    let right = group & HALF_MASK;
    for (const word of secret) {
      const next = left ^ stirred(right, word);
      left = right;
      right = next;
    }
    return (right << HALF_BITS) | left;
  }

  /** The offset of an entry that others of its group come after. */
  offsetWithin(cookie: number): number {
    const known = this.#offsetOf.get(cookie);
    // One that is about to be forgotten is as good as none.
    if (known !== undefined && this.#age(known) < REMEMBERED / 2) return known;
    const offset = this.#next;
    this.#next = offset + 1 < OFFSET_LIMIT ? offset + 1 : FIRST_REMEMBERED;
    const place = offset % REMEMBERED;
    const forgotten = this.#cookies[place];
    if (forgotten !== undefined && this.#offsetOf.get(forgotten) === this.#offsets[place]) {
      this.#offsetOf.delete(forgotten);
    }
    this.#offsets[place] = offset;
    this.#cookies[place] = cookie;
    this.#offsetOf.set(cookie, offset);
    return offset;
  }

  /** How many offsets have been given since, this one included. */
  #age(offset: number): number {
    const age = this.#next - offset;
    return age > 0 ? age : age + OFFSET_LIMIT - FIRST_REMEMBERED;
  }

  /**
   * The cookie after which a listing goes on.
   * @throws FsError EINVAL for an offset that was never given, or is forgotten
   */
  cookieAt(offset: number): number {
    if (offset < PLAIN_COOKIES) return offset;
    if (offset >= FIRST_REMEMBERED) return this.#remembered(offset);
    const group = this.#permuted(offset - PLAIN_COOKIES, this.#secretBackwards);
    const cookie = (group + 1) * GROUP_COOKIES - 1;
    if (cookie >= COOKIE_LIMIT) throw fsError('EINVAL');
    return cookie;
  }

  #remembered(offset: number): number {
    const place = offset % REMEMBERED;
    const cookie = this.#cookies[place];
    if (cookie === undefined || this.#offsets[place] !== offset) throw fsError('EINVAL');
    return cookie;
  }
}
