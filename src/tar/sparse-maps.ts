/**
 * Where the data of a file with holes is, in the four ways that GNU tar has had: in the header and
 * blocks behind it (type S), in records one by one (0.0), in one record (0.1), before the data
 * (1.0).
 */
import type { ArchiveBytes } from './archive-bytes.ts';
import { ArchiveError } from './archive-error.ts';
import { readNumber, TAR_BLOCK_BYTES } from './header-block.ts';
import { PaxKey, type Stretch } from './member.ts';

/** A stretch in a header: offset and length, 12 bytes each. */
const STRETCH_BYTES = 24;
/** Where they stand: of the first block, and of those behind it. */
const FIRST = { at: 386, count: 4, moreAt: 482 };
const NEXT = { at: 0, count: 21, moreAt: 504 };
const REAL_SIZE_AT = 483;
/** The most stretches that are believed: some 32 MB of them. */
export const MOST_STRETCHES = 1_000_000;
const LONGEST_NUMBER = 20;

export interface SparseFile {
  readonly sizeBytes: number;
  readonly stretches: readonly Stretch[];
  /** What the map took of the data. */
  readonly mapBytes: number;
}

export function damagedMap(): ArchiveError {
  return new ArchiveError('the map of a sparse file in the archive is damaged');
}

/** One behind the other, within the file, and as much data as there is. @throws ArchiveError */
function checked(file: SparseFile, dataBytes: number): SparseFile {
  let end = 0;
  let sum = 0;
  for (const { offset, lengthBytes } of file.stretches) {
    if (!Number.isSafeInteger(offset + lengthBytes) || offset < end || lengthBytes < 0) throw damagedMap();
    end = offset + lengthBytes;
    sum += lengthBytes;
  }
  if (end > file.sizeBytes || sum + file.mapBytes !== dataBytes) throw damagedMap();
  return file;
}

/** Type S: the blocks that follow the header are read. @throws ArchiveError */
export async function oldSparse(block: Buffer, dataBytes: number, bytes: ArchiveBytes): Promise<SparseFile> {
  const stretches: Stretch[] = [];
  let from: Buffer = block;
  for (let place = FIRST; ; place = NEXT) {
    for (let at = place.at; at < place.at + place.count * STRETCH_BYTES; at += STRETCH_BYTES) {
      if (from[at] === 0) break;
      stretches.push({ offset: readNumber(from, at, 12), lengthBytes: readNumber(from, at + 12, 12) });
    }
    if ((from[place.moreAt] ?? 0) === 0) break;
    from = await bytes.take(TAR_BLOCK_BYTES);
    if (from.length < TAR_BLOCK_BYTES || stretches.length > MOST_STRETCHES) throw damagedMap();
  }
  return checked({ sizeBytes: readNumber(block, REAL_SIZE_AT, 12), stretches, mapBytes: 0 }, dataBytes);
}

function numberOf(text: string): number {
  if (!/^\d{1,16}$/.test(text)) throw damagedMap();
  return Number(text);
}

function paired(numbers: readonly string[]): Stretch[] {
  const stretches: Stretch[] = [];
  for (let at = 0; at + 1 < numbers.length; at += 2)
    stretches.push({
      offset: numberOf(numbers[at] as string),
      lengthBytes: numberOf(numbers[at + 1] as string),
    });
  return stretches;
}

/** The map before the data: numbers on lines, in whole blocks. @throws ArchiveError */
async function mapBefore(bytes: ArchiveBytes): Promise<{ stretches: Stretch[]; mapBytes: number }> {
  let mapBytes = 0;
  let rest = '';
  const numbers: string[] = [];
  const isWhole = () => numbers.length > 0 && numbers.length > 2 * numberOf(numbers[0] as string);
  while (!isWhole()) {
    const block = await bytes.take(TAR_BLOCK_BYTES);
    mapBytes += block.length;
    const lines = (rest + block.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    numbers.push(...lines);
    const isSenseless =
      rest.replace(/\0+$/, '').length > LONGEST_NUMBER || numbers.length > 2 * MOST_STRETCHES + 1;
    if (block.length < TAR_BLOCK_BYTES || isSenseless) throw damagedMap();
  }
  const [count = '', ...others] = numbers;
  return { stretches: paired(others.slice(0, 2 * numberOf(count))), mapBytes };
}

export interface SparseRecords {
  readonly byKey: ReadonlyMap<string, Buffer>;
  /** Offsets and lengths in turn. */
  readonly stretches: readonly string[];
}

/** What records say; undefined where they speak of no sparse file. @throws ArchiveError */
export async function recordedSparse(
  records: SparseRecords,
  dataBytes: number,
  bytes: ArchiveBytes,
): Promise<SparseFile | undefined> {
  const said = (word: string) => records.byKey.get(PaxKey.sparse + word)?.toString('latin1');
  const size = said('realsize') ?? said('size');
  if (size === undefined) return undefined;
  const sizeBytes = numberOf(size);
  const map = said('map')?.split(',', 2 * MOST_STRETCHES + 1) ?? records.stretches;
  if (map.length > 2 * MOST_STRETCHES) throw damagedMap();
  const found =
    said('major') === '1'
      ? await mapBefore(bytes)
      : { stretches: paired(map.filter((one) => one !== '')), mapBytes: 0 };
  return checked({ sizeBytes, ...found }, dataBytes);
}

/** At most so many: the shortest holes between them become data. */
export function joined(stretches: Stretch[], most: number): Stretch[] {
  const excess = stretches.length - most;
  if (excess <= 0) return stretches;
  const holeBefore = (at: number) => {
    const before = stretches[at - 1] as Stretch;
    return (stretches[at] as Stretch).offset - before.offset - before.lengthBytes;
  };
  const holes = Float64Array.from({ length: stretches.length - 1 }, (_, at) => holeBefore(at + 1)).sort();
  const longest = holes[excess - 1] as number;
  const found: Stretch[] = stretches.slice(0, 1);
  let filled = 0;
  for (const [at, one] of stretches.entries()) {
    if (at === 0) continue;
    const isFilled = filled < excess && holeBefore(at) <= longest;
    const start = isFilled ? (found.pop() as Stretch).offset : one.offset;
    found.push({ offset: start, lengthBytes: one.offset + one.lengthBytes - start });
    if (isFilled) filled++;
  }
  return found;
}
