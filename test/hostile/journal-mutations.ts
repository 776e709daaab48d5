/**
 * Mutations of the journal: heads, descriptors, revokes and commits with absurd counts, targets and
 * sequences, and copies that are not what their descriptor says. The commit block's checksum over
 * the records is made right again too.
 */

import { crc32c } from '../../src/crc32c.ts';
import {
  BlockHeader,
  BlockKind,
  JournalCommit,
  JournalDescriptor,
  JournalEntry,
  JournalHead,
  JournalRevoke,
  RevokeEntry,
} from '../../src/fs/format/format.ts';
import type { SeededRandom } from '../../src/sim/seeded-random.ts';
import type { Block, Image } from './image.ts';
import type { Mutation } from './raw-mutations.ts';

const ODD = [0, 1, 2, 63, 64, 65535, 2 ** 31, 2 ** 32 - 1];
const ODD_LONG = [...ODD, 2 ** 32, 2 ** 48 - 1, 2 ** 53 - 1, 2 ** 53, 2 ** 63];

/**
 * The records of the journal that stand in their own places: descriptors, revokes, commits, heads.
 */
function records(image: Image, ...kinds: number[]): number[] {
  return image.index.journal.filter((number) => {
    const { view } = image.block(number);
    return kinds.includes(BlockHeader.kind.get(view, 0)) && BlockHeader.block.get(view, 0) === number;
  });
}

/** Makes the commit blocks agree with the records before them, in the order of the log. */
function agree(image: Image): void {
  const { descriptor, revoke, commit } = {
    descriptor: BlockKind.journalDescriptor,
    revoke: BlockKind.journalRevoke,
    commit: BlockKind.journalCommit,
  };
  const sums = new Map<number, number[]>();
  for (const number of records(image, descriptor, revoke)) {
    const { view } = image.block(number);
    const sequence = BlockHeader.sequence.get(view, 0);
    sums.set(sequence, [...(sums.get(sequence) ?? []), BlockHeader.checksum.get(view, 0)]);
  }
  for (const number of records(image, commit)) {
    image.edit(number, ({ view }) => {
      const bytes = new Uint8Array(
        Uint32Array.from(sums.get(BlockHeader.sequence.get(view, 0)) ?? []).buffer,
      );
      JournalCommit.recordsChecksum.set(view, 0, crc32c(bytes, 0, bytes.length, 0));
    });
  }
}

/** Any word of a block of the journal becomes an odd number; the checksum is made right again. */
function journalWord(image: Image, random: SeededRandom): void {
  const { journal } = image.index;
  if (journal.length === 0) return;
  image.edit(random.pick(journal), ({ view, bytes }) => {
    const at = 4 * random.below(Math.min(64, bytes.length / 4));
    view.setUint32(at, random.pick([...ODD, random.uint32(), view.getUint32(at, true) + 1]), true);
  });
  agree(image);
}

/** A head that points elsewhere. */
function journalHead(image: Image, random: SeededRandom): void {
  const { journalStart, journalBlocks } = image.layout;
  const heads = random.chance(0.5) ? [journalStart, journalStart + 1] : [journalStart + random.below(2)];
  const field = random.pick([
    JournalHead.generation,
    JournalHead.tail,
    JournalHead.sequence,
    BlockHeader.sequence,
  ]);
  const value = random.pick([
    ...ODD_LONG,
    journalBlocks - 3,
    journalBlocks - 2,
    journalBlocks,
    random.below(64),
  ]);
  for (const head of heads) image.edit(head, ({ view }) => field.set(view, 0, value));
}

/** A block of the log copied over another. */
function journalSplice(image: Image, random: SeededRandom): void {
  const { journal } = image.index;
  if (journal.length === 0) return;
  const from = image.block(random.pick(journal));
  const to = random.pick(journal);
  if (random.chance(0.5)) BlockHeader.block.set(from.view, 0, to);
  image.seal({ number: to, bytes: from.bytes, view: from.view });
  agree(image);
}

/** Absurd counts and targets in the records of a transaction. */
function journalRecord(image: Image, random: SeededRandom): void {
  const { journalDescriptor, journalRevoke, journalCommit } = BlockKind;
  const places = records(image, journalDescriptor, journalRevoke, journalCommit);
  if (places.length === 0) return;
  image.edit(random.pick(places), (block) => {
    const { view } = block;
    const kind = BlockHeader.kind.get(view, 0);
    if (random.below(6) === 0) BlockHeader.sequence.set(view, 0, random.pick(ODD_LONG));
    if (kind === journalDescriptor) spoilDescriptor(image, random, block);
    else if (kind === journalRevoke) spoilRevoke(image, random, block);
    else {
      const field = random.pick([JournalCommit.logBlocks, JournalCommit.copies, JournalCommit.revokes]);
      field.set(view, 0, random.pick(ODD));
    }
  });
  agree(image);
}

function spoilDescriptor(image: Image, random: SeededRandom, { view }: Block): void {
  if (random.below(3) === 0) JournalDescriptor.count.set(view, 0, random.pick(ODD));
  const at = JournalDescriptor.sizeBytes + random.below(4) * JournalEntry.sizeBytes;
  const targets = [0, 1, image.layout.blockCount - 1, 2 ** 48 - 1, random.pick(image.index.metadata)];
  JournalEntry.block.set(view, at, random.pick(targets));
}

function spoilRevoke(image: Image, random: SeededRandom, { view }: Block): void {
  if (random.below(3) === 0) JournalRevoke.count.set(view, 0, random.pick(ODD));
  const at = JournalRevoke.sizeBytes + random.below(4) * RevokeEntry.sizeBytes;
  RevokeEntry.block.set(view, at, random.pick([...ODD_LONG, random.pick(image.index.metadata)]));
}

/**
 * A copy in the log with other contents, and a descriptor that agrees: what is replayed is what the
 * attacker likes.
 */
function journalCopy(image: Image, random: SeededRandom): void {
  const descriptors = records(image, BlockKind.journalDescriptor);
  if (descriptors.length === 0) return;
  const number = random.pick(descriptors);
  const descriptor = image.block(number);
  const count = JournalDescriptor.count.get(descriptor.view, 0);
  const { journalStart, journalBlocks } = image.layout;
  const which = random.below(Math.max(1, count));
  const place = journalStart + 2 + ((number - journalStart - 2 + 1 + which) % (journalBlocks - 2));
  image.edit(place, ({ bytes }) => {
    for (let i = random.below(4); i >= 0; i--)
      bytes[64 + random.below(bytes.length - 64)] = random.below(256);
  });
  const checksum = BlockHeader.checksum.get(image.block(place).view, 0);
  image.edit(number, ({ view }) => {
    JournalEntry.checksum.set(view, JournalDescriptor.sizeBytes + which * JournalEntry.sizeBytes, checksum);
  });
  agree(image);
}

export const JOURNAL_MUTATIONS: Readonly<Record<string, Mutation>> = {
  'journal-word': journalWord,
  'journal-head': journalHead,
  'journal-splice': journalSplice,
  'journal-record': journalRecord,
  'journal-copy': journalCopy,
};
