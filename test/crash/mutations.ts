/**
 * Bugs put in on purpose: each breaks one rule of the journal or of the order of writes, in a copy of the compiled product.
 * A crash run over such a copy has to find it; otherwise the simulator is blind there. Nothing of this is in the product.
 *
 * An edit replaces a string that occurs exactly once in its file, so a mutation that has lost its place in the code fails
 * at once instead of testing nothing.
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
  /** The rule that it breaks: of journal.ts (J1 …) where it has a number. */
  readonly breaks: string;
  readonly edits: readonly Edit[];
}

function mutation(name: string, breaks: string, file: string, find: string, replace: string): Mutation {
  return { name, breaks, edits: [{ file: `src/fs/${file}.js`, find, replace }] };
}

const MUTATIONS_OF_COMMIT: Mutation[] = [
  mutation(
    'no-flush-before-commit-block',
    'J1: the commit block follows its records without a flush',
    'commit',
    'if (transaction || this.#dataUnflushed)',
    'if (!transaction && this.#dataUnflushed)',
  ),
  mutation(
    'commit-block-with-records',
    'J1: the commit block is queued together with its records',
    'commit',
    'await this.#journal.writeRecords(transaction);',
    'await Promise.all([this.#journal.writeRecords(transaction), this.#journal.writeCommit(transaction)]);',
  ),
  mutation(
    'no-flush-after-commit-block',
    'sync: it ends before the commit block is durable',
    'commit',
    'await this.#journal.writeCommit(transaction);\n            await this.#flush();',
    'await this.#journal.writeCommit(transaction);',
  ),
  mutation(
    'data-not-flushed',
    'sync: data written in place is forgotten when no metadata changed',
    'commit',
    'this.#dataWrites++;',
    '',
  ),
  mutation(
    'home-before-commit',
    'J2: the checkpoint does not wait for the commit point',
    'commit',
    'const checkpoint = this.#takeCheckpoint();',
    'let checkpoint = this.#takeCheckpoint(); if (checkpoint) this.#startCheckpoint(checkpoint); checkpoint = undefined;',
  ),
];

export const MUTATIONS: readonly Mutation[] = [...MUTATIONS_OF_COMMIT];

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
