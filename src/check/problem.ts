/**
 * What can be wrong with a volume: the table of problems, and the log a check writes them to.
 *
 * Every problem has a code that never changes its meaning, a sentence with {places}, and says whether a
 * repair of it could lose anything: `safe` ones only make derived facts (counts, checksums, bitmaps, links) agree
 * with what the volume says elsewhere. The log is bounded: a volume of garbage cannot fill the memory.
 */

export type Repair = 'safe' | 'ask' | 'none';

interface ProblemKind {
  /** Sentence with {block}, {inode}, {found}, {expected}, {name}, {what} where they apply. */
  readonly text: string;
  readonly repair: Repair;
}

function kind(repair: Repair, text: string): ProblemKind {
  return { repair, text };
}

/** The passes, in the order they run. */
export const PASSES = [
  'superblock',
  'volume root',
  'inode table',
  'inodes',
  'directories',
  'connectivity',
  'orphan list',
  'space',
] as const;
export type Pass = (typeof PASSES)[number];

export const PROBLEMS = {
  // Any metadata block.
  'block-unreadable': kind('none', 'block {block} ({what}) cannot be read: {found}'),
  'block-magic': kind('ask', 'block {block} ({what}) is not a metadata block of Quarry'),
  'block-kind': kind('ask', 'block {block} ({what}) is a block of kind {found}, expected {expected}'),
  'block-number': kind('ask', 'block {block} ({what}) says it is block {found}'),
  'block-uuid': kind('ask', 'block {block} ({what}) belongs to another volume'),
  'block-checksum': kind('safe', 'block {block} ({what}) has a wrong checksum'),

  // Superblock.
  'superblock-bad': kind('safe', 'the superblock is not usable ({what}); the backup is used'),
  'superblock-differs': kind('safe', 'superblock and backup differ in {what}: {found} and {expected}'),
  'backup-bad': kind('safe', 'the backup superblock at block {block} is not usable: {what}'),
  'superblock-state': kind('safe', 'the superblock has the unknown state {found}'),
  'superblock-field': kind('ask', 'the superblock says {what} is {found}, by its geometry it is {expected}'),

  // Volume root and inode table.
  'root-count': kind('safe', 'the volume root counts {found} inodes, there are {expected}'),
  'root-first-free-chunk': kind(
    'safe',
    'the volume root has chunk {found} as the first with a free inode, but chunk {expected} has one',
  ),
  'root-generation': kind('safe', 'inode {inode} has generation {found}, the next to be given is {expected}'),
  'table-extent': kind('ask', 'the inode table has an extent at its block {found} outside of any chunk'),
  'chunk-bitmap-missing': kind('ask', 'chunk {what} of the inode table has inode blocks but no bitmap'),
  'chunk-used': kind('safe', 'the bitmap of chunk {what} counts {found} inodes in use, there are {expected}'),
  'chunk-first-free': kind(
    'safe',
    'the bitmap of chunk {what} says no inode below index {found} is free, index {expected} is',
  ),
  'inode-zero': kind('safe', 'inode 0 is not set aside in the inode bitmap'),
  'inode-no-block': kind('ask', 'inode {inode} is in use by the bitmap, but has no block in the inode table'),

  // Inodes.
  'inode-unused-bit': kind('ask', 'inode {inode} is in use by the bitmap, but its record is free'),
  'inode-unmarked': kind('ask', 'inode {inode} has a record in use, but is free by the bitmap'),
  'inode-number': kind('ask', 'inode {inode} says its number is {found}'),
  'inode-mode': kind('ask', 'inode {inode} has the impossible mode {found}'),
  'inode-flags': kind('ask', 'inode {inode} has impossible flags {found}'),
  'inode-size': kind('ask', 'inode {inode} has the size {found}, {what}'),
  'inode-inline-tail': kind('safe', 'inode {inode} has bytes after the end of its inline data'),
  'inode-attributes': kind('ask', 'inode {inode} has extended attributes, which this version does not know'),
  'inode-time': kind('safe', 'inode {inode} has {found} nanoseconds in its {what} time'),
  'inode-blocks': kind('safe', 'inode {inode} counts {found} blocks, it has {expected}'),
  'inode-links-limit': kind('ask', 'inode {inode} has {found} links, the most is {expected}'),
  'inode-orphan-fields': kind(
    'safe',
    'inode {inode} has names and pointers of the orphan list, but is not on it',
  ),
  'symlink-target': kind('ask', 'inode {inode} is a symbolic link whose target holds a NUL byte'),
  'symlink-hole': kind(
    'ask',
    'inode {inode} is a symbolic link with {found} where part {expected} of its target belongs',
  ),

  // Trees.
  'tree-header': kind('ask', 'inode {inode}: tree node in block {block} is broken: {what}'),
  'tree-level': kind(
    'ask',
    'inode {inode}: tree node in block {block} is of level {found}, expected {expected}',
  ),
  'tree-key-order': kind('ask', 'inode {inode}: key {found} in block {block} is out of order: {what}'),
  'tree-record': kind('ask', 'inode {inode}: record with key {found} in block {block} is impossible: {what}'),
  'tree-empty': kind('safe', 'inode {inode}: tree node in block {block} is empty'),
  'tree-owner': kind('safe', 'inode {inode}: tree node in block {block} says it belongs to inode {found}'),
  'tree-child': kind(
    'ask',
    'inode {inode}: the child {found} of the node in block {block} is outside of the space',
  ),
  'extent-outside': kind(
    'ask',
    'inode {inode}: the extent at file block {what} is at blocks {found}, outside of the space',
  ),
  'extent-beyond-size': kind(
    'safe',
    'inode {inode}: an extent goes to file block {found}, the size ends at {expected}',
  ),
  'block-shared': kind(
    'ask',
    'inode {inode}: {found} blocks from block {block} on belong to something else too',
  ),

  // Directories.
  'entry-key': kind('ask', 'directory {inode}: entry {name} has key {found}, its hash is {expected}'),
  'entry-name': kind('ask', 'directory {inode}: the name {name} is not allowed'),
  'entry-duplicate': kind('ask', 'directory {inode}: the name {name} is there twice'),
  'entry-inode': kind('ask', 'directory {inode}: entry {name} leads to inode {found}, which is not in use'),
  'entry-type': kind(
    'safe',
    'directory {inode}: entry {name} says type {found}, inode {what} is of type {expected}',
  ),
  'entry-to-orphan': kind(
    'ask',
    'directory {inode}: entry {name} leads to inode {found}, which has no links',
  ),
  'directory-size': kind('safe', 'directory {inode} counts {found} entries, it has {expected}'),
  'directory-second-name': kind(
    'ask',
    'directory {inode}: entry {name} is a second name of directory {found}',
  ),

  // Connectivity and links.
  'root-directory': kind('none', 'inode {inode}, the root directory, is {what}'),
  'directory-parent': kind('safe', 'directory {inode} has {found} as its parent, its name is in {expected}'),
  'directory-unconnected': kind('safe', 'directory {inode} cannot be reached from the root'),
  'inode-unconnected': kind('safe', 'inode {inode} has {found} links, but no name'),
  'link-count': kind('safe', 'inode {inode} has link count {found}, by its names it is {expected}'),

  // Orphans.
  'orphan-member': kind('ask', 'the orphan list leads to inode {inode}, which is {what}'),
  'orphan-left': kind(
    'safe',
    'the volume was unmounted in order, but {found} inodes are still on the orphan list',
  ),
  'orphan-cycle': kind('ask', 'the orphan list runs in a circle at inode {inode}'),
  'orphan-previous': kind(
    'safe',
    'inode {inode} of the orphan list has {found} before it, expected {expected}',
  ),
  'orphan-not-listed': kind('safe', 'inode {inode} has no links and is not on the orphan list'),

  // Space.
  'space-unowned': kind('safe', 'blocks {what} are in use by the bitmap, but belong to nothing'),
  'space-unmarked': kind('safe', 'blocks {what} are free by the bitmap, but in use'),
  'space-used': kind('safe', 'the bitmap of group {what} counts {found} blocks in use, there are {expected}'),
  'space-first-free': kind(
    'safe',
    'the bitmap of group {what} says no block below {found} is free, {expected} is',
  ),
  'space-free': kind('safe', '{what}: the summary says {found} free blocks, there are {expected}'),
  'space-sum': kind(
    'safe',
    'summary block {block} says {found} free blocks in all, its entries sum to {expected}',
  ),
  'space-summary-header': kind('safe', 'summary block {block} says {what} is {found}, expected {expected}'),
  'space-summary-flags': kind('safe', '{what}: the summary has unknown flags {found}'),
  'space-not-initialised': kind('ask', '{what} is said never to have been written, but holds blocks in use'),
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof PROBLEMS;

/** Values for the places of a sentence. */
export interface ProblemValues {
  block?: number;
  inode?: number;
  found?: number | string;
  expected?: number | string;
  name?: string;
  what?: string | number;
}

export interface Problem {
  readonly code: ProblemCode;
  readonly pass: Pass;
  readonly message: string;
  readonly repair: Repair;
  readonly block: number | undefined;
  readonly inode: number | undefined;
}

/** Problems beyond this many are counted and not kept. */
export const MAX_KEPT_PROBLEMS = 10_000;

/** Fills the places of a problem's sentence. */
export function problemMessage(code: ProblemCode, values: ProblemValues): string {
  return PROBLEMS[code].text.replace(/\{(\w+)\}/g, (_, place: string) =>
    String(values[place as keyof ProblemValues] ?? '?'),
  );
}

function compareProblems(a: Problem, b: Problem): number {
  return (
    PASSES.indexOf(a.pass) - PASSES.indexOf(b.pass) ||
    (a.inode ?? -1) - (b.inode ?? -1) ||
    (a.block ?? -1) - (b.block ?? -1)
  );
}

export class ProblemLog {
  readonly #kept: Problem[] = [];
  #count = 0;
  pass: Pass = 'superblock';

  report(code: ProblemCode, values: ProblemValues = {}): void {
    this.#count++;
    if (this.#kept.length >= MAX_KEPT_PROBLEMS) return;
    this.#kept.push({
      code,
      pass: this.pass,
      message: problemMessage(code, values),
      repair: PROBLEMS[code].repair,
      block: values.block,
      inode: values.inode,
    });
  }

  /** All problems seen, kept or not. */
  get count(): number {
    return this.#count;
  }

  /** The kept ones by pass, inode and block, so that the order does not depend on the timing of reads. */
  sorted(): Problem[] {
    return [...this.#kept].sort(compareProblems);
  }
}
