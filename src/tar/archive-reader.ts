/**
 * Tar archives of POSIX (ustar, PAX), GNU tar and what was before, read as they come through a
 * pipe.
 *
 *   for await (const member of membersOf(input)) … member.contents() …
 *
 * What of a member is not read is passed over. An archive that ends before its end mark is an
 * error, which comes after all that was whole.
 */
import { ArchiveBytes } from './archive-bytes.ts';
import { ArchiveError } from './archive-error.ts';
import { decodeHeader, type HeaderFields, TAR_BLOCK_BYTES } from './header-block.ts';
import { GlobalRecords, MemberRecords, MOST_GLOBAL_BYTES, MOST_RECORD_BYTES } from './kept-records.ts';
import { type Member, type MemberPiece, type MemberType, PaxKey, type Stretch } from './member.ts';
import { parseTime } from './pax-records.ts';
import { oldSparse, recordedSparse, type SparseFile, type SparseRecords } from './sparse-maps.ts';

/** Of a name, in errors. */
const MOST_SHOWN_BYTES = 4096;
const BILLION = 1_000_000_000n;
/** Of a number in a record; a longer one makes no sense. */
const MOST_DIGITS = 40;
/** Of a record of an owner or a time. */
const MOST_TEXT_BYTES = 100;
/** Of a pipe, so much comes at once at most. */
const PIECE_BYTES = 1024 * 1024;

const TYPES: Readonly<Record<string, MemberType>> = {
  '0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'hardLink',
  '2': 'symlink',
  '3': 'characterDevice',
  '4': 'blockDevice',
  '5': 'directory',
  // What GNU tar has in incremental archives: its data are names.
  D: 'directory',
  '6': 'fifo',
};

export interface MemberInArchive extends Member {
  /** What records say that makes no sense: it is as if they were not there. */
  readonly doubts: readonly string[];
  /** Of a file, once. Pieces are valid until the next one is asked for. @throws ArchiveError */
  contents(): AsyncIterable<MemberPiece>;
}

/** What programs that pack archives begin their files with. */
const PACKED: readonly (readonly [bytes: string, name: string])[] = [
  ['1f8b', 'gzip'],
  ['28b52ffd', 'zstd'],
  ['fd377a585a', 'xz'],
  ['425a68', 'bzip2'],
];

/** @throws ArchiveError in words for something that is no archive at all */
function firstHeader(block: Buffer): HeaderFields | undefined {
  try {
    if (block.length === TAR_BLOCK_BYTES) return decodeHeader(block);
  } catch {}
  const start = block.toString('hex', 0, 8);
  const [, packer] = PACKED.find(([bytes]) => start.startsWith(bytes)) ?? [];
  throw new ArchiveError(
    packer === undefined
      ? `the input is no tar archive${block.length === 0 ? ': it is empty' : ''}`
      : `the input is packed by ${packer}: unpack it first, as by '${packer} -dc'`,
  );
}

/** What extra headers say of the member that follows them. */
class Said {
  readonly records = new MemberRecords();
  name?: Buffer;
  linkName?: Buffer;
  /** Of all these headers. */
  sizeBytes = 0;
}

class ArchiveReader {
  readonly #bytes: ArchiveBytes;
  readonly #global = new GlobalRecords();
  /** Of the member at hand, with its padding. */
  #restBytes = 0;
  #lastName = Buffer.alloc(0);

  constructor(bytes: ArchiveBytes) {
    this.#bytes = bytes;
  }

  async *members(): AsyncGenerator<MemberInArchive> {
    let said = new Said();
    for (let isFirst = true; ; isFirst = false) {
      const block = await this.#bytes.take(TAR_BLOCK_BYTES);
      const fields = isFirst ? firstHeader(block) : this.#nextHeader(block);
      if (fields === undefined) return await this.#end();
      if (await this.#isExtra(fields, said)) continue;
      const member = await this.#member(block, fields, said);
      said = new Said();
      if (member === undefined) continue;
      yield member;
      await this.#passRest();
    }
  }

  /** Behind a block of zeros: what comes then is zeros, too, and the rest of no interest. */
  async #end(): Promise<void> {
    const next = await this.#bytes.take(TAR_BLOCK_BYTES);
    if (next.some((byte) => byte !== 0))
      throw new ArchiveError(
        `the archive is damaged behind ${this.#lastName}: there are zeros in place of a header`,
      );
    await this.#bytes.drain();
  }

  #nextHeader(block: Buffer): HeaderFields | undefined {
    if (block.length === 0) throw this.#ended('behind');
    if (block.length < TAR_BLOCK_BYTES) throw this.#ended('in the header behind');
    return decodeHeader(block);
  }

  #ended(where: string): ArchiveError {
    return new ArchiveError(
      `the archive is cut off ${where} ${this.#lastName}: what stands before that is there`,
    );
  }

  /** Takes in a header that speaks of the next one. */
  async #isExtra({ type, sizeBytes }: HeaderFields, said: Said): Promise<boolean> {
    if (!'xXgLK'.includes(type)) return false;
    const isGlobal = type === 'g';
    const sumBytes = isGlobal ? sizeBytes : said.sizeBytes + sizeBytes;
    if (sizeBytes < 0 || sumBytes > (isGlobal ? MOST_GLOBAL_BYTES : MOST_RECORD_BYTES))
      throw new ArchiveError(`a header of the archive has ${sumBytes} bytes: that is not believed`);
    said.sizeBytes += isGlobal ? 0 : sizeBytes;
    const bytes = await this.#bytes.take(sizeBytes);
    this.#restBytes = paddingOf(sizeBytes);
    if (bytes.length < sizeBytes) throw this.#ended('in the header behind');
    await this.#passRest();
    if (type === 'L') said.name = withoutEnd(bytes);
    else if (type === 'K') said.linkName = withoutEnd(bytes);
    else if (isGlobal) this.#global.add(bytes);
    else said.records.add(bytes);
    return true;
  }

  /** @returns undefined for what is no file, as the label of a volume */
  async #member(block: Buffer, fields: HeaderFields, said: Said): Promise<MemberInArchive | undefined> {
    const byKey = said.records.over(this.#global.byKey);
    const name = byKey.get(`${PaxKey.sparse}name`) ?? byKey.get('path') ?? said.name ?? fields.name;
    this.#lastName = Buffer.from(name.subarray(0, MOST_SHOWN_BYTES));
    const type = typeOf(fields, name);
    // A link's size is that of the file, which is elsewhere.
    const dataBytes = type === 'hardLink' ? 0 : numberOf(byKey, 'size', fields.sizeBytes);
    if (dataBytes < 0) throw new ArchiveError(`the archive gives ${name} a senseless size`);
    this.#restBytes = dataBytes + paddingOf(dataBytes);
    if (type === undefined) {
      await this.#passRest();
      return undefined;
    }
    const sparse =
      type === 'file'
        ? await this.#sparse(block, { byKey, stretches: said.records.stretches }, dataBytes)
        : undefined;
    const owner = new OwnerAndTimes(byKey);
    return {
      name,
      type,
      mode: fields.mode,
      uid: owner.id('uid') ?? fields.uid,
      gid: owner.id('gid') ?? fields.gid,
      modifyNs: owner.time('mtime') ?? BigInt(fields.modifySeconds) * BILLION,
      accessNs: owner.time('atime'),
      linkName: byKey.get('linkpath') ?? said.linkName ?? fields.linkName,
      major: fields.major,
      minor: fields.minor,
      sizeBytes: sparse?.sizeBytes ?? dataBytes,
      attributes: attributesOf(byKey),
      accessAcl: byKey.get(PaxKey.accessAcl)?.toString(),
      defaultAcl: byKey.get(PaxKey.defaultAcl)?.toString(),
      doubts: owner.doubts,
      contents: () => this.#contents(sparse ?? wholeFile(dataBytes)),
    };
  }

  async #sparse(block: Buffer, records: SparseRecords, dataBytes: number): Promise<SparseFile | undefined> {
    const isOld = block.toString('latin1', 156, 157) === 'S';
    const sparse = isOld
      ? await oldSparse(block, dataBytes, this.#bytes)
      : await recordedSparse(records, dataBytes, this.#bytes);
    this.#restBytes -= sparse?.mapBytes ?? 0;
    return sparse;
  }

  async *#contents({ sizeBytes, stretches }: SparseFile): AsyncIterable<MemberPiece> {
    for (const { offset, lengthBytes } of stretches) yield* this.#stretch(offset, lengthBytes);
    yield { offset: sizeBytes, bytes: Buffer.alloc(0) };
  }

  async *#stretch(offset: number, lengthBytes: number): AsyncIterable<MemberPiece> {
    for (let done = 0; done < lengthBytes; ) {
      const bytes = await this.#bytes.some(Math.min(PIECE_BYTES, lengthBytes - done));
      if (bytes.length === 0) throw this.#ended('within');
      this.#restBytes -= bytes.length;
      yield { offset: offset + done, bytes };
      done += bytes.length;
    }
  }

  async #passRest(): Promise<void> {
    while (this.#restBytes > 0) {
      const { length } = await this.#bytes.some(this.#restBytes);
      if (length === 0) throw this.#ended('within');
      this.#restBytes -= length;
    }
  }
}

function wholeFile(sizeBytes: number): SparseFile {
  const stretches: Stretch[] = [{ offset: 0, lengthBytes: sizeBytes }];
  return { sizeBytes, stretches, mapBytes: 0 };
}

/**
 * Undefined for what is no file. What is not known is a file, as POSIX has it, but for what goes on
 * from another archive.
 * @throws ArchiveError
 */
function typeOf({ type }: HeaderFields, name: Buffer): MemberType | undefined {
  const known = TYPES[type];
  // Before there was a type for directories.
  if (type === '0' && name.at(-1) === 0x2f) return 'directory';
  if (type === 'M')
    throw new ArchiveError(`${name} is the rest of a file that another archive begins: no more was read`);
  return type === 'V' ? undefined : (known ?? 'file');
}

function paddingOf(sizeBytes: number): number {
  return (TAR_BLOCK_BYTES - (sizeBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
}

/** A name of GNU tar's has a zero behind it. */
function withoutEnd(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

function numberOf(records: ReadonlyMap<string, Buffer>, key: string, otherwise: number): number {
  const text = records.get(key)?.toString('latin1', 0, MOST_DIGITS + 1);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new ArchiveError(`a record '${key}' of the archive is no number: ${text}`);
}

/** Records that the archive can be read on without, whatever they say. */
class OwnerAndTimes {
  readonly #byKey: ReadonlyMap<string, Buffer>;
  /** Filled as records are asked for. */
  readonly doubts: string[] = [];

  constructor(byKey: ReadonlyMap<string, Buffer>) {
    this.#byKey = byKey;
  }

  /** Any number: whose it may be is not for an archive to say. */
  id(key: string): number | undefined {
    return this.#read(key, (text) => (/^-?\d+$/.test(text) ? Number(text) : undefined));
  }

  time(key: string): bigint | undefined {
    return this.#read(key, parseTime);
  }

  #read<T>(key: string, read: (text: string) => T | undefined): T | undefined {
    const bytes = this.#byKey.get(key);
    if (bytes === undefined) return undefined;
    const text = bytes.toString('latin1', 0, MOST_TEXT_BYTES + 1);
    const value = text.length <= MOST_TEXT_BYTES ? read(text) : undefined;
    if (value === undefined) this.doubts.push(`${key} (the archive says '${text.slice(0, MOST_DIGITS)}')`);
    return value;
  }
}

function attributesOf(records: ReadonlyMap<string, Buffer>): (readonly [string, Buffer])[] {
  return [...records].flatMap(([key, value]) =>
    key.startsWith(PaxKey.attribute)
      ? [[key.slice(PaxKey.attribute.length).replaceAll('%3D', '=').replaceAll('%25', '%'), value] as const]
      : [],
  );
}

/** The members, one after the other. @throws ArchiveError */
export async function* membersOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<MemberInArchive> {
  const bytes = new ArchiveBytes(input);
  try {
    yield* new ArchiveReader(bytes).members();
  } finally {
    await bytes.close();
  }
}
