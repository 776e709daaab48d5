/**
 * How a call of fuse-native finds its inodes and is answered: paths walked inside of a transaction,
 * and a callback that gets a status and results.
 */
import { CorruptionError, errnoOf, FsError, fsError } from '../fs/base/errors.ts';
import type { AttributeChanges, FileSystem, TransactionHandle } from '../fs/base/filesystem.ts';
import { ROOT_NODE } from './abi.ts';

/** Ends a call: a negative errno, or a count, or 0; then the result. */
export type Answer = (status: number, ...result: unknown[]) => void;

function namesOf(path: string): Uint8Array[] {
  const parts = path.split('/').filter((part) => part !== '');
  return parts.map((part) => Buffer.from(part));
}

export class PathAnswers {
  readonly #filesystem: FileSystem;
  readonly #log: (message: string) => void;

  constructor(filesystem: FileSystem, log: (message: string) => void) {
    this.#filesystem = filesystem;
    this.#log = log;
  }

  /** The inode at a path. @throws FsError ENOENT */
  walk(tx: TransactionHandle, path: string): number {
    return namesOf(path).reduce((inode, name) => this.#step(tx, inode, name), ROOT_NODE);
  }

  #step(tx: TransactionHandle, parent: number, name: Uint8Array): number {
    const inode = this.#filesystem.lookup(tx, parent, name);
    if (inode === 0) throw fsError('ENOENT');
    return inode;
  }

  /** The directory that holds the last name of the path, and that name. */
  walkToLast(tx: TransactionHandle, path: string): [parent: number, name: Uint8Array] {
    const names = namesOf(path);
    const last = names.pop();
    if (last === undefined) throw fsError('EBUSY');
    return [names.reduce((inode, name) => this.#step(tx, inode, name), ROOT_NODE), last];
  }

  /**
   * One transaction; what `work` returns makes the results afterwards, or answers by itself and
   * returns nothing.
   */
  run(answer: Answer, work: (tx: TransactionHandle) => () => unknown[] | undefined): void {
    let finish: () => unknown[] | undefined = () => [];
    this.#filesystem.execute({
      perform: (tx) => {
        finish = work(tx);
      },
      finished: (thrown) => {
        if (thrown !== undefined) {
          this.refuse(answer, thrown);
          return;
        }
        const results = finish();
        if (results !== undefined) answer(0, ...results);
      },
    });
    this.#filesystem.submit();
  }

  /** One transaction on the directory and the last name of a path. */
  at(
    path: string,
    answer: Answer,
    work: (tx: TransactionHandle, parent: number, name: Uint8Array) => void,
  ): void {
    this.run(answer, (tx) => {
      work(tx, ...this.walkToLast(tx, path));
      return () => [];
    });
  }

  /** Changes attributes of what is at a path. */
  change(path: string, answer: Answer, changes: AttributeChanges): void {
    this.run(answer, (tx) => {
      this.#filesystem.changeAttributes(tx, this.walk(tx, path), changes);
      return () => [];
    });
  }

  /** Answers when `work` has ended. */
  wait(answer: Answer, work: Promise<void>): undefined {
    work.then(
      () => answer(0),
      (thrown: unknown) => this.refuse(answer, thrown),
    );
    this.#filesystem.submit();
    return undefined;
  }

  /** Answers with the errno of what was thrown; a bug and damage are logged. */
  refuse(answer: Answer, thrown: unknown): void {
    if (thrown instanceof CorruptionError || !(thrown instanceof FsError))
      this.#log(`fuse-native: ${thrown}`);
    answer(-errnoOf(thrown));
  }
}
