/**
 * Bugs put in on purpose: each breaks one rule of the journal or of the order of writes, in a copy
 * of the compiled product. A crash run over such a copy has to find it; otherwise the simulator is
 * blind there. Nothing of this is in the product.
 *
 * An edit replaces a string that occurs exactly once in its file, so a mutation that has lost its
 * place in the code fails at once instead of testing nothing.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Build, furnish } from './run.ts';

interface Edit {
  /** Compiled file, from the root of the copy. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutation {
  readonly name: string;
  /** The rule that it breaks: J1 to J8 are those of journal.ts. */
  readonly breaks: string;
  readonly edits: readonly Edit[];
  /** A workload that is known to show it: where the test looks first. */
  readonly shownBy: string;
}

function mutation(
  name: string,
  breaks: string,
  shownBy: string,
  file: string,
  find: string,
  replace: string,
): Mutation {
  return { name, breaks, shownBy, edits: [{ file: `src/fs/${file}.js`, find, replace }] };
}

const COMMITTING: Mutation[] = [
  mutation(
    'no-flush-before-commit-block',
    'J1: the commit block follows its records, and the data, without a flush',
    'rule-0-0',
    'journal/commit',
    'if (transaction || this.#dataUnflushed)',
    'if (!transaction && this.#dataUnflushed)',
  ),
  mutation(
    'commit-block-with-records',
    'J1: the commit block is queued together with its records',
    'rule-0-0',
    'journal/commit',
    'await this.#journal.writeRecords(transaction);',
    'await Promise.all([this.#journal.writeRecords(transaction), this.#journal.writeCommit(transaction)]);',
  ),
  mutation(
    'commit-block-not-through',
    'sync ends before the commit block is durable',
    'rule-0-0',
    'journal/block-transfers',
    'device.writeThrough(',
    'device.write(',
  ),
  mutation(
    'data-not-flushed',
    'sync forgets data written in place when no metadata changed',
    'rule-4-0',
    'journal/commit',
    'this.#dataWrites++;',
    '',
  ),
  mutation(
    'data-alone-without-a-flush',
    'a sync of data alone forgets to flush it',
    'rule-24-0',
    'journal/commit',
    'this.#flushing = this.#flush()',
    'this.#flushing = Promise.resolve()',
  ),
  mutation(
    'data-alone-without-names',
    'a sync of data alone is content with a flush whatever has changed',
    'rule-24-0',
    'journal/commit',
    '&& this.#contentDurable !== this.#tx.contentChanges',
    '&& false',
  ),
  mutation(
    'durable-before-its-commit-block',
    'what a commit under way takes with it counts as durable',
    'rule-24-0',
    'journal/commit',
    'const contentChanges = this.#tx.contentChanges;',
    'const contentChanges = (this.#contentDurable = this.#tx.contentChanges);',
  ),
  mutation(
    'durable-when-begun',
    'what is changed while a commit is under way counts as part of it',
    'rule-24-0',
    'journal/commit',
    'this.#contentDurable = contentChanges;',
    'this.#contentDurable = this.#tx.contentChanges;',
  ),
  mutation(
    'record-before-data',
    'the transaction speaks of data that is still on its way to the device',
    'rule-0-7',
    'data/file-writer',
    'device.write(this.memory, this.memoryOffset + from, to - from, place, this);',
    'device.write(this.memory, this.memoryOffset + from, to - from, place, { ioDone() {} }); queueMicrotask(() => this.ioDone(0));',
  ),
  mutation(
    'sync-does-not-wait',
    'sync forgets writes that were answered early',
    'rule-4-0',
    'life/durability',
    'await this.#early.settled();',
    '',
  ),
  mutation(
    'dirty-block-left-out',
    'a transaction lacks one of its blocks',
    'rule-9-0',
    'journal/commit',
    'const frames = [...this.#cache.dirtySet()]',
    'const frames = [...this.#cache.dirtySet()].slice(this.commits % 5 === 0 ? 1 : 0)',
  ),
];

const MOVES: Mutation[] = [
  mutation(
    'moved-before-copied',
    'the transaction speaks of the new place of a block while its data is on the way',
    'rule-11-1',
    'data/range-move',
    'await this.#parts.copier.copy(',
    'void this.#parts.copier.copy(',
  ),
  mutation(
    'shortened-before-shifted',
    'a file from which a range is taken out becomes shorter before what follows has moved',
    'rule-18-0',
    'data/shifting',
    'await inSteps(context, behind,',
    'await resizeLocked(context, request.inode, size - request.lengthBytes); await inSteps(context, behind,',
  ),
];

const CHECKPOINTS: Mutation[] = [
  mutation(
    'home-before-commit',
    'J2: the checkpoint does not wait for the commit point',
    'rule-1-0',
    'journal/commit',
    'const checkpoint = this.#takeCheckpoint();',
    'let checkpoint = this.#takeCheckpoint(); if (checkpoint) this.#startCheckpoint(checkpoint); checkpoint = undefined;',
  ),
  mutation(
    'tail-before-home',
    'J3: the tail moves before the blocks are flushed at home',
    'rule-0-0',
    'journal/commit',
    'this.blocksWritten += blocks.length;\n            await this.#flush();',
    'this.blocksWritten += blocks.length;',
  ),
  mutation(
    'head-not-flushed',
    'J4: the log is written again before the head that frees it is durable',
    'rule-0-0',
    'journal/journal',
    'await writeBlocks(device, memory, [block], blockBytes);\n    await flushDevice(device);',
    'await writeBlocks(device, memory, [block], blockBytes);',
  ),
  mutation(
    'clean-before-home',
    'the volume is marked clean while the journal is not empty',
    'rule-0-0',
    'life/lifecycle',
    'await committer.drain();',
    '',
  ),
  mutation(
    'wrap-too-early',
    'the writer wraps around one block before the reader',
    'rule-9-0',
    'journal/journal',
    'this.#head + 1 === this.logBlocks ? 0',
    'this.#head + 2 === this.logBlocks ? 0',
  ),
];

const FREED_BLOCKS: Mutation[] = [
  mutation(
    'no-revokes-written',
    'J5: freed metadata blocks are not revoked',
    'rule-0-0',
    'journal/commit',
    'const revoked = this.#cache.takeFreed();',
    'this.#cache.takeFreed(); const revoked = [];',
  ),
  mutation(
    'revokes-ignored',
    'J5: replay does not heed revokes',
    'rule-0-0',
    'journal/journal-log',
    'if ((this.#revokedIn.get(home) ?? -1) < sequence)',
    'if (sequence >= 0)',
  ),
  mutation(
    'freed-at-once',
    'J6: freed blocks are handed out before the commit that freed them',
    'rule-2-0',
    'transaction/space-map',
    'this.#freed.push({ start, length });',
    'this.release([{ start, length }]);',
  ),
  mutation(
    'freed-before-commit-point',
    'J6: freed blocks are handed out when the commit begins',
    'rule-2-0',
    'journal/commit',
    'const olderCheckpoint = this.#checkpoint;',
    'const olderCheckpoint = this.#checkpoint; this.#release(freed.splice(0), olderCheckpoint);',
  ),
  mutation(
    'freed-during-checkpoint',
    'J6: freed blocks are handed out while a checkpoint may still write their old copies',
    'rule-1-10',
    'journal/commit',
    'if (olderCheckpoint === undefined)',
    'if (freed.length > 0)',
  ),
  mutation(
    'orphan-not-listed',
    'a file without a name is not on the orphan list',
    'rule-6-0',
    'namespace',
    'addOrphan(tx, this.#table, inode);',
    '',
  ),
  mutation(
    'truncation-not-listed',
    'a truncation in steps is not on the orphan list',
    'rule-7-0',
    'data/file-resizer',
    'addOrphan(tx, this.context.table, inode);',
    ';',
  ),
  mutation(
    'tail-not-zeroed',
    'what stood behind the end of a file turns up when it grows',
    'rule-10-0',
    'data/file-resizer',
    "return { kind: 'zeroTail', block, from: inTail };",
    '{ /* nothing */ }',
  ),
];

const RECOVERY: Mutation[] = [
  mutation(
    'recovery-does-not-flush',
    'recovery empties the log before the blocks are durable at home',
    'rule-5-0',
    'journal/recovery',
    'await flushDevice(device);\n    const position',
    'const position',
  ),
  mutation(
    'recovery-head-first',
    'recovery empties the log before the blocks go home',
    'rule-4-0',
    'journal/recovery',
    'const { blockBytes } = layout;\n    for await (const { memory, homes } of batches(device, layout, identity, contents))\n        await writeBlocks',
    'const { blockBytes } = layout;\n    await writeJournalHead(device, layout, identity, { ...contents.position, generation: contents.position.generation + 1 });\n    for await (const { memory, homes } of batches(device, layout, identity, contents))\n        await writeBlocks',
  ),
  mutation(
    'not-marked-mounted',
    'a mounted volume looks clean, so its journal is not replayed',
    'rule-0-0',
    'life/volume-marks',
    'this.#superblock.markMounted(this.#clock);',
    '',
  ),
];

const DISCARDS: Mutation[] = [
  mutation(
    'discarded-before-commit',
    'blocks are discarded while the commit that freed them is under way',
    'rule-10-1',
    'journal/commit',
    'const transaction = this.#takeDirty();',
    'for (const run of freed) void this.#discards.run(run); const transaction = this.#takeDirty();',
  ),
  {
    name: 'discarded-in-use',
    breaks: 'FITRIM discards blocks that may be handed out meanwhile',
    shownBy: 'rule-17-3',
    edits: [
      {
        file: 'src/fs/transaction/space-map.js',
        find: 'this.#index.withhold(run);',
        replace: ';',
      },
      {
        file: 'src/fs/data/discards.js',
        find: 'this.#parts.space.giveBack([run]);',
        replace: '',
      },
    ],
  },
  mutation(
    'written-before-discarded',
    'freed blocks are handed out before their discard has ended',
    'rule-15-1',
    'data/discards',
    'this.#work = this.#discardAll()',
    'for (const run of this.#waiting.splice(0)) { void this.run(run); this.#parts.space.release([run]); } this.#work = this.#discardAll()',
  ),
];

const QUOTAS: Mutation[] = [
  mutation(
    'counted-before-it-is-known',
    'usage says that it is right before all of it is in the tree',
    'rule-23-0',
    'life/volume-quotas',
    'this.#quotas.tree.create(tx);\n            this.#quotas.tree.setKinds(tx, []);',
    'this.#quotas.tree.create(tx);\n            this.#quotas.tree.setKinds(tx, kinds);',
  ),
];

export const MUTATIONS: readonly Mutation[] = [
  ...COMMITTING,
  ...MOVES,
  ...CHECKPOINTS,
  ...FREED_BLOCKS,
  ...DISCARDS,
  ...QUOTAS,
  ...RECOVERY,
];

/** @throws Error if an edit does not fit exactly once */
export function mutatedCopy(compiled: string, { name, edits }: Mutation): Build {
  const folder = mkdtempSync(join(tmpdir(), 'quarry-mutant-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    for (const part of ['src', 'test']) {
      cpSync(join(compiled, part), join(folder, part), { recursive: true });
    }
    for (const edit of edits) applyEdit(folder, name, edit);
    furnish(folder);
    return { folder, remove };
  } catch (thrown) {
    remove();
    throw thrown;
  }
}

function applyEdit(folder: string, name: string, { file, find, replace }: Edit): void {
  const path = join(folder, file);
  const parts = readFileSync(path, 'utf8').split(find);
  if (parts.length !== 2) {
    throw new Error(`mutation ${name}: ${file} has ${parts.length - 1} places that read '${find}'`);
  }
  writeFileSync(path, parts.join(replace));
}
