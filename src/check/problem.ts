/**
 * What can be wrong with a volume: the table of problems, and the log a check writes them to.
 *
 * Every problem has a code that never changes its meaning, a sentence with {places}, whether a
 * repair of it could lose anything, and what the repair does. `safe` ones only make derived facts
 * (counts, bitmaps, links) agree with what the volume says elsewhere. The pass that finds a problem
 * decides which stage of the repair deals with it.
 *
 * The log is bounded: a volume of garbage cannot fill the memory. Beside the kept problems it
 * remembers, for the repair, the inodes concerned, as numbers.
 */

import { PASSES, type Pass, STAGE_OF_PASS, type Stage } from './stages.ts';

export type Repair = 'safe' | 'ask';

interface ProblemKind {
  /** Sentence with {block}, {inode}, {found}, {expected}, {name}, {what} where they apply. */
  readonly text: string;
  readonly repair: Repair;
  /** What the repair does about it. */
  readonly remedy: string;
  /** Where the stage does not follow from the pass. */
  readonly stage?: Stage;
}

function kind(repair: Repair, text: string, remedy: string, stage?: Stage): ProblemKind {
  return stage === undefined ? { repair, text, remedy } : { repair, text, remedy, stage };
}

export const PROBLEMS = {
  // Any metadata block.
  'block-unreadable': kind(
    'ask',
    'block {block} ({what}) cannot be read: {found}',
    'what it held is found elsewhere or given up',
  ),
  'block-magic': kind(
    'ask',
    'block {block} ({what}) is not a metadata block of Quarry',
    'what it held is found elsewhere or given up',
  ),
  'block-kind': kind(
    'ask',
    'block {block} ({what}) is a block of kind {found}, expected {expected}',
    'what it held is found elsewhere or given up',
  ),
  'block-number': kind(
    'ask',
    'block {block} ({what}) says it is block {found}',
    'what it held is found elsewhere or given up',
  ),
  'block-uuid': kind(
    'ask',
    'block {block} ({what}) belongs to another volume',
    'what it held is found elsewhere or given up',
  ),
  'block-checksum': kind(
    'ask',
    'block {block} ({what}) has a wrong checksum',
    'its contents are checked, and sealed again',
  ),

  // Superblock.
  'superblock-bad': kind(
    'safe',
    'the superblock is not usable ({what}); the backup is used',
    'made again from the backup',
  ),
  'superblock-differs': kind(
    'ask',
    'superblock and backup differ in {what}: {found} and {expected}',
    'the one that the rest of the volume speaks for is kept',
  ),
  'superblock-features': kind(
    'safe',
    'superblock and backup at block {block} differ in their features: {found} and {expected}',
    'they have the features of both',
    'superblock',
  ),
  'superblock-size': kind(
    'safe',
    'the superblock says that the volume has {found} blocks, the volume root {expected}',
    'set to what the volume root says',
    'superblock',
  ),
  'backup-bad': kind(
    'safe',
    'the backup superblock at block {block} is not usable: {what}',
    'made again from the superblock',
  ),
  'backup-stale': kind(
    'safe',
    'the backup superblock at block {block} has another {what}',
    'made again from the superblock',
  ),
  'superblock-state': kind(
    'safe',
    'the superblock has the unknown state {found}',
    'set when the volume is repaired',
  ),
  'superblock-repairing': kind('safe', 'a repair of the volume was cut off', 'gone on with'),
  'superblock-field': kind(
    'ask',
    'the superblock says {what} is {found}, by its geometry it is {expected}',
    'computed from the geometry',
  ),

  // Journal.
  'journal-heads': kind(
    'ask',
    'the journal has no valid head',
    'the log is replayed as far as it is whole, and begun anew',
  ),
  'journal-damaged': kind(
    'ask',
    'the journal is damaged: {what}',
    'replayed up to the damage, and begun anew',
  ),
  'journal-not-empty': kind(
    'safe',
    'the volume was unmounted in order, but its journal holds {found} transactions',
    'the journal is emptied',
  ),

  // Volume root and inode table.
  'root-count': kind(
    'safe',
    'the volume root counts {found} inodes, there are {expected}',
    'counted anew',
    'space',
  ),
  'root-first-free-chunk': kind(
    'safe',
    'the volume root has chunk {found} as the first with a free inode, but chunk {expected} has one',
    'set to a value that holds',
    'space',
  ),
  'root-generation': kind(
    'safe',
    'inode {inode} has generation {found}, the next to be given is {expected}',
    'set above all generations',
  ),
  'root-next-generation': kind(
    'ask',
    'the volume root gives {found} as the next generation',
    'set above all generations',
  ),
  'root-block-count': kind(
    'ask',
    'the volume root says that the volume has {found} blocks, the superblock {expected}',
    'set to what the superblock says',
  ),
  'table-inode-block': kind(
    'ask',
    'inode {inode} stands in the inode table where inode {expected} belongs',
    'the inode table is put together anew',
    'table',
  ),
  'chunk-bitmap-missing': kind(
    'safe',
    'chunk {what} of the inode table has inode blocks but no bitmap',
    'made from the inodes',
    'table',
  ),
  'chunk-used': kind(
    'safe',
    'the bitmap of chunk {what} counts {found} inodes in use, there are {expected}',
    'counted anew',
  ),
  'chunk-first-free': kind(
    'safe',
    'the bitmap of chunk {what} says no inode below index {found} is free, index {expected} is',
    'set to a value that holds',
  ),
  'inode-zero': kind('safe', 'inode 0 is not set aside in the inode bitmap', 'the bit is set'),
  'inode-no-block': kind(
    'ask',
    'inode {inode} is in use by the bitmap, but has no block in the inode table',
    'the bit is cleared',
  ),

  // Inodes.
  'inode-unused-bit': kind(
    'safe',
    'inode {inode} is in use by the bitmap, but its record is free',
    'the bit is cleared',
  ),
  'inode-unmarked': kind(
    'ask',
    'inode {inode} has a record in use, but is free by the bitmap',
    'the bit is set',
  ),
  'inode-number': kind('ask', 'inode {inode} says its number is {found}', 'set to the number of its place'),
  'inode-mode': kind(
    'ask',
    'inode {inode} has the impossible mode {found}',
    'the type is taken from its contents, or the inode is cleared',
  ),
  'inode-flags': kind('ask', 'inode {inode} has impossible flags {found}', 'impossible flags are taken away'),
  'inode-size': kind('ask', 'inode {inode} has the size {found}, {what}', 'set to what it holds'),
  'inode-inline-tail': kind(
    'safe',
    'inode {inode} has bytes after the end of its inline data',
    'set to zero',
  ),
  'inode-attributes': kind(
    'ask',
    'inode {inode} has extended attributes where there can be none: {what}',
    'taken away',
  ),
  'inode-time': kind('safe', 'inode {inode} has {found} nanoseconds in its {what} time', 'set to 0'),
  'inode-owner': kind(
    'safe',
    'inode {inode} belongs to {found}, which is no {what}',
    'given to 65534 (nobody)',
  ),
  'inode-generation': kind('ask', 'inode {inode} has the impossible generation {found}', 'set to 0'),
  'inode-blocks': kind('safe', 'inode {inode} counts {found} blocks, it has {expected}', 'counted anew'),
  'inode-orphan-fields': kind(
    'safe',
    'inode {inode} has names and pointers of the orphan list, but is not on it',
    'cleared',
  ),
  'symlink-target': kind(
    'ask',
    'inode {inode} is a symbolic link whose target holds a NUL byte',
    'cut before it',
  ),
  'symlink-end': kind(
    'ask',
    'inode {inode} is a symbolic link with blocks up to {found}, its target ends at {expected}',
    'cut to what can be read of it, or cleared',
  ),
  'symlink-hole': kind(
    'ask',
    'inode {inode} is a symbolic link with {found} where part {expected} of its target belongs',
    'the link is cleared',
  ),

  // Trees.
  'tree-header': kind(
    'ask',
    'inode {inode}: tree node in block {block} is broken: {what}',
    'the tree is built anew of what can be read',
  ),
  'tree-level': kind(
    'ask',
    'inode {inode}: tree node in block {block} is of level {found}, expected {expected}',
    'the tree is built anew of what can be read',
  ),
  'tree-key-order': kind(
    'ask',
    'inode {inode}: key {found} in block {block} is out of order: {what}',
    'the tree is built anew, in order',
  ),
  'tree-record': kind(
    'ask',
    'inode {inode}: record with key {found} in block {block} is impossible: {what}',
    'the record is left out or cut',
  ),
  'tree-empty': kind('safe', 'inode {inode}: tree node in block {block} is empty', 'the tree is built anew'),
  'tree-owner': kind(
    'safe',
    'inode {inode}: tree node in block {block} says it belongs to inode {found}',
    'the tree is built anew',
  ),
  'tree-child': kind(
    'ask',
    'inode {inode}: the child {found} of the node in block {block} is outside of the space',
    'the tree is built anew of what can be read',
  ),
  'extent-outside': kind(
    'ask',
    'inode {inode}: the extent at file block {what} is at blocks {found}, outside of the space',
    'cut to what is inside',
  ),
  'extent-beyond-size': kind(
    'safe',
    'inode {inode}: data goes to file block {found}, the size ends at {expected}',
    'the size is set to the end of the blocks',
  ),
  'block-shared': kind(
    'ask',
    'inode {inode}: {found} blocks from block {block} on belong to something else too',
    'the later owner gets a copy',
  ),

  // Extended attributes.
  'attribute-record': kind(
    'ask',
    'inode {inode}: the extended attribute {name} at key {found} is not whole: {what}',
    'left out',
  ),
  'attribute-acl': kind('ask', 'inode {inode}: {name} is no ACL: {what}', 'left out'),

  // Directories.
  'entry-key': kind(
    'ask',
    'directory {inode}: entry {name} has key {found}, its hash is {expected}',
    'computed anew',
  ),
  'entry-name': kind(
    'ask',
    'directory {inode}: the name {name} is not allowed',
    'replaced by one that is allowed',
  ),
  'entry-duplicate': kind(
    'ask',
    'directory {inode}: the name {name} is there twice',
    'the later one gets another name',
  ),
  'entry-links': kind(
    'ask',
    'directory {inode}: entry {name} is a name too many of inode {found}',
    'the entry is removed',
  ),
  'entry-inode': kind(
    'ask',
    'directory {inode}: entry {name} leads to inode {found}, which is not in use',
    'the entry is removed',
  ),
  'entry-type': kind(
    'safe',
    'directory {inode}: entry {name} says type {found}, inode {what} is of type {expected}',
    'set to the type of the inode',
  ),
  'entry-to-orphan': kind(
    'ask',
    'directory {inode}: entry {name} leads to inode {found}, which has no links',
    'the inode gets its links back',
    'links',
  ),
  'directory-size': kind(
    'safe',
    'directory {inode} counts {found} entries, it has {expected}',
    'counted anew',
  ),
  'directory-second-name': kind(
    'ask',
    'directory {inode}: entry {name} is a second name of directory {found}',
    'all but one are removed',
  ),

  // Connectivity and links.
  'root-directory': kind('ask', 'inode {inode}, the root directory, is {what}', 'made anew'),
  'directory-parent': kind(
    'safe',
    'directory {inode} has {found} as its parent, its name is in {expected}',
    'set to where its name is',
  ),
  'directory-unconnected': kind(
    'safe',
    'directory {inode} cannot be reached from the root',
    'put into lost+found',
  ),
  'inode-unconnected': kind(
    'safe',
    'inode {inode} has {found} links, but no name',
    'put into lost+found, or cleared if it is empty',
  ),
  'link-count': kind(
    'safe',
    'inode {inode} has link count {found}, by its names it is {expected}',
    'counted anew',
  ),

  // Orphans.
  'orphan-member': kind(
    'ask',
    'the orphan list leads to inode {inode}, which is {what}',
    'the list is emptied',
  ),
  'orphan-left': kind(
    'safe',
    'the volume was unmounted in order, but {found} inodes are still on the orphan list',
    'they are freed',
  ),
  'orphan-cycle': kind('ask', 'the orphan list runs in a circle at inode {inode}', 'the list is emptied'),
  'orphan-previous': kind(
    'safe',
    'inode {inode} of the orphan list has {found} before it, expected {expected}',
    'the list is emptied',
  ),
  'orphan-not-listed': kind('safe', 'inode {inode} has no links and is not on the orphan list', 'freed'),

  // Quotas.
  'quota-unexpected': kind(
    'ask',
    'the volume root has quotas, which by its superblock the volume has not',
    'taken away',
  ),
  'quota-kinds': kind('ask', 'the volume root has quotas of the unknown kinds {found}', 'taken away'),
  'quota-tree': kind(
    'ask',
    'the tree of quotas is not to be had at block {block}: {what}',
    'built anew, with the limits that are found elsewhere',
  ),
  'quota-record': kind('ask', 'the quota of {name} makes no sense: {what}', 'counted anew, without limits'),
  'quota-usage': kind(
    'safe',
    'the quota of {name} counts {found} {what}, there are {expected}',
    'counted anew',
  ),
  'quota-deadline': kind(
    'safe',
    'the quota of {name} says when grace for {what} ends ({found}), and no limit is passed',
    'set to 0',
  ),

  // Space.
  'space-unowned': kind('safe', 'blocks {what} are in use by the bitmap, but belong to nothing', 'set free'),
  'space-unmarked': kind('safe', 'blocks {what} are free by the bitmap, but in use', 'marked as in use'),
  'space-used': kind(
    'safe',
    'the bitmap of group {what} counts {found} blocks in use, there are {expected}',
    'counted anew',
  ),
  'space-first-free': kind(
    'safe',
    'the bitmap of group {what} says no block below {found} is free, {expected} is',
    'set to a value that holds',
  ),
  'space-free': kind(
    'safe',
    '{what}: the summary says {found} free blocks, there are {expected}',
    'counted anew',
  ),
  'space-sum': kind(
    'safe',
    'summary block {block} says {found} free blocks in all, its entries sum to {expected}',
    'counted anew',
  ),
  'space-summary-header': kind(
    'safe',
    'summary block {block} says {what} is {found}, expected {expected}',
    'set to what follows from the disk map',
  ),
  'space-summary-flags': kind(
    'safe',
    '{what}: the summary has unknown flags {found}',
    'unknown flags are taken away',
  ),
  'space-not-initialised': kind(
    'ask',
    '{what} is said never to have been written, but holds blocks in use',
    'made anew from its owners',
  ),
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
  readonly remedy: string;
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

/** Codes of problems with what an inode holds, so that it has to be gone through. */
const CONCERNS_CONTENTS = /^(tree|extent|block|symlink|entry|directory-second)-(?!checksum)/;

export class ProblemLog {
  readonly #kept: Problem[] = [];
  readonly #stages = new Map<Stage, number>();
  readonly #suspects = new Map<Stage, Set<number>>();
  /** Metadata blocks in which nothing is wrong at first sight but the checksum. */
  readonly badChecksums = new Set<number>();
  /** Inodes whose tree or data is not as it should be, beside the counts of it. */
  readonly brokenContents = new Set<number>();
  /** The codes of all problems seen. */
  readonly codes = new Set<ProblemCode>();
  #count = 0;
  #unsafe = 0;
  pass: Pass = 'superblock';

  /**
   * @param found the stage of the repair that it is for, where it does not follow from the code or
   * pass
   */
  report(code: ProblemCode, values: ProblemValues = {}, found?: Stage): void {
    const problem: ProblemKind = PROBLEMS[code];
    const stage = found ?? problem.stage ?? STAGE_OF_PASS[this.pass];
    this.#count++;
    if (problem.repair === 'ask') this.#unsafe++;
    this.#stages.set(stage, (this.#stages.get(stage) ?? 0) + 1);
    if (values.inode !== undefined) {
      this.suspect(stage, values.inode);
      if (CONCERNS_CONTENTS.test(code)) this.brokenContents.add(values.inode);
    }
    this.codes.add(code);
    if (code === 'block-checksum' && values.block !== undefined) this.badChecksums.add(values.block);
    if (this.#kept.length >= MAX_KEPT_PROBLEMS) return;
    const { repair, remedy } = problem;
    const message = problemMessage(code, values);
    this.#kept.push({
      code,
      pass: this.pass,
      message,
      repair,
      remedy,
      block: values.block,
      inode: values.inode,
    });
  }

  /** The repair has to look at the inode in this stage. */
  suspect(stage: Stage, inode: number): void {
    const known = this.#suspects.get(stage);
    if (known) known.add(inode);
    else this.#suspects.set(stage, new Set([inode]));
  }

  suspects(stage: Stage): ReadonlySet<number> {
    return this.#suspects.get(stage) ?? new Set();
  }

  /** Problems for this stage. */
  countIn(stage: Stage): number {
    return this.#stages.get(stage) ?? 0;
  }

  /** All problems seen, kept or not. */
  get count(): number {
    return this.#count;
  }

  /** Of all problems those whose repair could lose something. */
  get unsafe(): number {
    return this.#unsafe;
  }

  /**
   * The kept ones by pass, inode and block, so that the order does not depend on the timing of
   * reads.
   */
  sorted(): Problem[] {
    return [...this.#kept].sort(compareProblems);
  }
}
