/**
 * What records say of a member, or of all that follow: the last of each key counts. Whatever an
 * archive has, no more than so much of it is kept.
 */
import { ArchiveError } from './archive-error.ts';
import { PaxKey } from './member.ts';
import { decodeRecords } from './pax-records.ts';
import { damagedMap, MOST_STRETCHES } from './sparse-maps.ts';

/** All extra headers of one member have no more: they are kept in memory. */
export const MOST_RECORD_BYTES = 64 * 1024 * 1024;
/** And those that speak of all members. */
export const MOST_GLOBAL_BYTES = 1024 * 1024;
const MOST_KEYS = 100_000;
const MOST_GLOBAL_KEYS = 1000;
/** These come once for each stretch of a file. */
const OF_STRETCHES: ReadonlySet<string> = new Set([`${PaxKey.sparse}offset`, `${PaxKey.sparse}numbytes`]);

function tooMany(): ArchiveError {
  return new ArchiveError('headers of the archive have too many records: that is not believed');
}

/** An attribute may be empty; anything else that is empty is as if nobody had said it. */
function isDeletion(key: string, value: Buffer): boolean {
  return value.length === 0 && !key.startsWith(PaxKey.attribute);
}

function put(records: Map<string, Buffer>, key: string, value: Buffer): void {
  if (isDeletion(key, value)) records.delete(key);
  else records.set(key, value);
}

/** Of one member. */
export class MemberRecords {
  readonly #byKey = new Map<string, Buffer>();
  /** Offsets and lengths in turn, of stretches that come one by one. */
  readonly stretches: string[] = [];

  /** @throws ArchiveError */
  add(bytes: Buffer): void {
    for (const [key, value] of decodeRecords(bytes)) {
      if (OF_STRETCHES.has(key)) this.stretches.push(value.toString('latin1'));
      else this.#byKey.set(key, value);
      if (this.stretches.length > 2 * MOST_STRETCHES) throw damagedMap();
      if (this.#byKey.size > MOST_KEYS) throw tooMany();
    }
  }

  /** Those that hold, with what all members have. */
  over(all: ReadonlyMap<string, Buffer>): Map<string, Buffer> {
    const records = new Map(all);
    for (const [key, value] of this.#byKey) put(records, key, value);
    return records;
  }
}

/** Of all members that follow. */
export class GlobalRecords {
  readonly byKey = new Map<string, Buffer>();
  #sizeBytes = 0;

  /** @throws ArchiveError */
  add(bytes: Buffer): void {
    for (const [key, value] of decodeRecords(bytes)) {
      if (key.startsWith(PaxKey.sparse)) throw damagedMap();
      this.#sizeBytes += this.#sizeOf(key, value) - this.#sizeOf(key, this.byKey.get(key));
      // A copy: the rest of the header goes.
      put(this.byKey, key, Buffer.from(value));
      if (this.#sizeBytes > MOST_GLOBAL_BYTES || this.byKey.size > MOST_GLOBAL_KEYS) throw tooMany();
    }
  }

  #sizeOf(key: string, value: Buffer | undefined): number {
    return value === undefined || isDeletion(key, value) ? 0 : key.length + value.length;
  }
}
