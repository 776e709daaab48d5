/**
 * The history of a real repository as sizes: which files each commit of the first parents' line
 * writes and removes, how long they are, and what their objects take packed. Read by git itself, in
 * one pass, into arrays of numbers.
 */
import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { messageOf } from '../../common/thrown.ts';
import { WorkloadLoadError } from './workload-load-error.ts';

const run = promisify(execFile);

const LOG = [
  '-c',
  'core.quotePath=false',
  'log',
  '-z',
  '--first-parent',
  '--diff-merges=first-parent',
  '--reverse',
  '--root',
  '--raw',
  '--no-abbrev',
  '--no-renames',
  '--no-ext-diff',
  '--no-color',
  '--no-show-signature',
  '--format=%x01%H',
];
const SIZES = ['cat-file', '--batch-check=%(objectsize) %(objectsize:disk)', '--buffer'];
const COMMIT_MARK = '\x01';
/** The mode of a submodule, which has no file. */
const SUBMODULE = '160000';
const GONE = '000000';

/** Numbers in an array that grows. */
export class NumberList {
  #numbers = new Float64Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.#numbers.length) {
      const larger = new Float64Array(2 * this.length);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers[this.length++] = value;
  }

  at(index: number): number {
    return this.#numbers[index] ?? 0;
  }

  /** All of them, as they are in memory. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.#numbers.buffer, 0, this.length * Float64Array.BYTES_PER_ELEMENT);
  }
}

export interface GitHistory {
  readonly head: string;
  /** By change: which file, from 0 on, … */
  readonly files: NumberList;
  /** … 1 if it is written, 0 if it is removed. */
  readonly written: NumberList;
  /** By written change, in the same order: length, and length as an object on disk, in bytes. */
  readonly sizes: NumberList;
  readonly packedSizes: NumberList;
  /** By commit: how many changes there are up to its end. */
  readonly commitEnds: NumberList;
  /** By file: its directory; by directory: the one above. Directory 0 is the root. */
  readonly directoryOf: NumberList;
  readonly parentOf: NumberList;
}

/**
 * What tells two histories apart, in hexadecimal digits: the commit is not all, since what objects
 * take on disk changes when the repository is packed anew.
 */
export function contentOf({ head, ...lists }: GitHistory): string {
  const hash = createHash('sha256').update(head);
  for (const list of Object.values(lists)) hash.update(`\n${list.length}\n`).update(list.bytes);
  return hash.digest('hex');
}

/** The commit that HEAD is. @throws WorkloadLoadError */
export async function headOf(repository: string): Promise<string> {
  try {
    const { stdout } = await run('git', ['-C', repository, 'rev-parse', '--verify', 'HEAD^{commit}']);
    return stdout.trim();
  } catch (thrown) {
    const said = Object(thrown).stderr;
    const line = (typeof said === 'string' && said !== '' ? said : messageOf(thrown)).trim().split('\n')[0];
    throw new WorkloadLoadError(`${repository} is no repository that git can read: ${line}`);
  }
}

/** Makes numbers of paths. */
class Paths {
  readonly #files = new Map<string, number>();
  readonly #directories = new Map<string, number>([['', 0]]);

  constructor(readonly history: GitHistory) {
    history.parentOf.push(0);
  }

  fileAt(path: string): number {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const file = this.#files.size;
    this.#files.set(path, file);
    this.history.directoryOf.push(this.#directoryAt(path.slice(0, Math.max(0, path.lastIndexOf('/')))));
    return file;
  }

  #directoryAt(path: string): number {
    const known = this.#directories.get(path);
    if (known !== undefined) return known;
    const parent = this.#directoryAt(path.slice(0, Math.max(0, path.lastIndexOf('/'))));
    const directory = this.#directories.size;
    this.#directories.set(path, directory);
    this.history.parentOf.push(parent);
    return directory;
  }
}

/** Texts between separators, of a stream. */
async function* partsOf(stream: Readable, separator: string): AsyncGenerator<string> {
  // Paths are bytes; as latin1 different ones stay different.
  stream.setEncoding('latin1');
  let rest = '';
  for await (const text of stream) {
    const parts = (rest + String(text)).split(separator);
    rest = parts.pop() ?? '';
    yield* parts;
  }
  if (rest !== '') yield rest;
}

function startGit(
  repository: string,
  words: readonly string[],
): { child: ChildProcessByStdio<Writable, Readable, null>; ended: Promise<void> } {
  // Objects that a partial clone lacks are not fetched for this.
  const env = { ...process.env, GIT_NO_LAZY_FETCH: '1', LC_ALL: 'C' };
  const child = spawn('git', ['-C', repository, ...words], { stdio: ['pipe', 'pipe', 'ignore'], env });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => {
      if (status === 0) resolve();
      else reject(new WorkloadLoadError(`${repository}: git ${words[0]} ended with status ${status}`));
    });
  });
  ended.catch(() => {});
  child.stdin.on('error', () => {});
  return { child, ended };
}

/** @throws WorkloadLoadError, or the error of starting git */
export async function readGitHistory(repository: string): Promise<GitHistory> {
  const list = () => new NumberList();
  const history: GitHistory = {
    head: await headOf(repository),
    files: list(),
    written: list(),
    sizes: list(),
    packedSizes: list(),
    commitEnds: list(),
    directoryOf: list(),
    parentOf: list(),
  };
  const log = startGit(repository, [...LOG, history.head]);
  const sizes = startGit(repository, SIZES);
  const reading = readSizes(sizes.child.stdout, history);
  // Who ends early says why by his status.
  const writing = pipeline(writtenObjects(log.child.stdout, history), sizes.child.stdin).catch(() => {});
  await Promise.all([log.ended, sizes.ended, reading, writing]);
  return history;
}

/** Changes into the history; lines with the names of the objects that are written. */
async function* writtenObjects(stdout: Readable, history: GitHistory): AsyncGenerator<string> {
  const paths = new Paths(history);
  let change: readonly string[] = [];
  for await (const part of partsOf(stdout, '\0')) {
    const text = part.replace(/^\n+/, '');
    if (change.length > 0) {
      const [, mode = '', , object = ''] = change;
      change = [];
      if (mode === SUBMODULE) continue;
      history.files.push(paths.fileAt(part));
      history.written.push(mode === GONE ? 0 : 1);
      if (mode !== GONE) yield `${object}\n`;
    } else if (text.startsWith(COMMIT_MARK)) {
      if (history.commitEnds.length > 0 || history.files.length > 0)
        history.commitEnds.push(history.files.length);
    } else if (text.startsWith(':')) change = text.slice(1).split(' ');
  }
  history.commitEnds.push(history.files.length);
}

/** An object that is not there has no length. */
async function readSizes(stdout: Readable, { sizes, packedSizes }: GitHistory): Promise<void> {
  for await (const line of partsOf(stdout, '\n')) {
    const [, size = '0', packed = '0'] = /^(\d+) (\d+)$/.exec(line) ?? [];
    sizes.push(Number(size));
    packedSizes.push(Number(packed));
  }
}
