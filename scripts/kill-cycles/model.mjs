// @ts-check
/**
 * What a writer's log allows a volume to hold after a crash.
 *
 * A log is a list of operations of one process in one directory of its own, each noted before it
 * begins and again when it has returned. The model performs them one by one and keeps, for each
 * file, what each of its cells may hold now:
 *
 *   data    a cell that was made durable holds its value of then or one that was written later, nothing else; where it was
 *           beyond the end of the file or a hole since then, it may be so again
 *   names   the tree of names is the one after operation k, for some k that is not before the last one that was made
 *           durable: whatever is synced, all names so far are on disk, as the order of names is kept
 *
 * A cell is 64 bytes that say whose they are: directory, file, number of the operation, place. So
 * bytes of another file, of another place, or of nobody are recognised. Files are whole numbers of
 * cells.
 */

export const CELL_BYTES = 64;
/** Values of a cell beside the number of the operation that wrote it. */
export const ZERO = 0;
export const ABSENT = -1;

/**
 * @typedef {{ op: 'mkdir', path: string } | { op: 'rmdir', path: string }
 *   | { op: 'create', path: string, file: number }
 *   | { op: 'symlink', path: string, to: string }
 *   | { op: 'link', path: string, to: string } | { op: 'rename', path: string, to: string }
 *   | { op: 'unlink', path: string }
 *   | { op: 'write' | 'dsync-write', path: string, file: number, at: number, cells: number }
 *   | { op: 'truncate', path: string, file: number, cells: number }
 *   | { op: 'fsync' | 'fdatasync', path: string, file: number }
 *   | { op: 'fsyncdir' | 'syncfs', path: string }} Operation
 *
 * @typedef {{ kind: 'folder' } | { kind: 'symlink', to: string } | { kind: 'file', file: number }}
 * Node
 */

/** @param {string} tag @param {number} file @param {number} version @param {number} at */
export function cellText(tag, file, version, at) {
  return `${tag} f${file} v${version} @${at} `.padEnd(CELL_BYTES - 1, '.').concat('\n');
}

/**
 * @param {string} text
 * @returns {{ tag: string, file: number, version: number, at: number } | undefined}
 */
export function parseCell(text) {
  const match = /^(\S+) f(\d+) v(\d+) @(\d+) \.*\n$/.exec(text);
  if (!match || text.length !== CELL_BYTES) return undefined;
  const [, tag, file, version, at] = match;
  return { tag: /** @type {string} */ (tag), file: Number(file), version: Number(version), at: Number(at) };
}

/** A file: its cells as the writer sees them, and what else each may hold after a crash. */
export class FileModel {
  /** @type {number[]} */
  cells = [];
  /**
   * @type {Map<number, Set<number>>} Values of a cell since it was last durable, without its
   * present one.
   */
  #older = new Map();

  /** @param {number} at */
  #value(at) {
    return this.cells[at] ?? ABSENT;
  }

  /** @param {number} at @param {number} value */
  #set(at, value) {
    const older = this.#older.get(at) ?? new Set();
    this.#older.set(at, older.add(this.#value(at)));
    if (value !== ABSENT) this.cells[at] = value;
  }

  /** @param {number} at @param {number} count @param {number} version */
  write(at, count, version) {
    if (at > this.cells.length) this.truncate(at);
    for (let cell = at; cell < at + count; cell++) this.#set(cell, version);
  }

  /** @param {number} count */
  truncate(count) {
    for (let cell = this.cells.length; cell < count; cell++) this.#set(cell, ZERO);
    for (let cell = count; cell < this.cells.length; cell++) this.#set(cell, ABSENT);
    this.cells.length = Math.min(this.cells.length, count);
  }

  /** The cells from `from` to before `to` are on disk. */
  durable(from = 0, to = Number.POSITIVE_INFINITY) {
    for (const cell of [...this.#older.keys()]) if (cell >= from && cell < to) this.#older.delete(cell);
  }

  /** @param {number} at @param {number} value what was found there */
  allows(at, value) {
    const older = this.#older.get(at);
    const found = (/** @type {number} */ wanted) => this.#value(at) === wanted || older?.has(wanted) === true;
    if (found(value)) return true;
    return value === ZERO && found(ABSENT);
  }

  /** The first cell that must be there at or behind `at`, or -1. @param {number} at */
  firstNeeded(at) {
    for (let cell = at; cell < this.cells.length; cell++) if (!this.allows(cell, ABSENT)) return cell;
    return -1;
  }
}

/** The tree of one writer. Paths are relative to its directory. */
export class TreeModel {
  /** @type {Map<string, Node>} */
  nodes = new Map();
  /** @type {Map<number, FileModel>} */
  files = new Map();
  /** Persistence points that returned. */
  acknowledged = 0;

  /** @param {number} file */
  file(file) {
    const found = this.files.get(file);
    if (!found) throw new Error(`no file ${file} in the log`);
    return found;
  }

  /** Performs operation number `number`. @param {Operation} operation @param {number} number */
  begin(operation, number) {
    const { nodes } = this;
    if (operation.op === 'mkdir') nodes.set(operation.path, { kind: 'folder' });
    else if (operation.op === 'rmdir' || operation.op === 'unlink') nodes.delete(operation.path);
    else if (operation.op === 'symlink') nodes.set(operation.path, { kind: 'symlink', to: operation.to });
    else if (operation.op === 'link') nodes.set(operation.to, this.#node(operation.path));
    else if (operation.op === 'rename') this.#rename(operation.path, operation.to);
    else if (operation.op === 'create') {
      nodes.set(operation.path, { kind: 'file', file: operation.file });
      this.files.set(operation.file, new FileModel());
    } else if (operation.op === 'write' || operation.op === 'dsync-write') {
      this.file(operation.file).write(operation.at, operation.cells, number);
    } else if (operation.op === 'truncate') this.file(operation.file).truncate(operation.cells);
  }

  /** @param {string} path */
  #node(path) {
    const node = this.nodes.get(path);
    if (!node) throw new Error(`no ${path} in the log`);
    return node;
  }

  /** @param {string} from @param {string} to */
  #rename(from, to) {
    const node = this.#node(from);
    // Two names of one file: rename(2) does nothing.
    const there = this.nodes.get(to);
    if (there?.kind === 'file' && node.kind === 'file' && there.file === node.file) return;
    for (const [path, moved] of [...this.nodes]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      this.nodes.delete(path);
      this.nodes.set(to + path.slice(from.length), moved);
    }
  }

  /**
   * The operation has returned.
   * @param {Operation} operation
   * @returns {boolean} whether all names so far are durable
   */
  returned(operation) {
    const { op } = operation;
    if (op === 'fsync' || op === 'fdatasync') this.file(operation.file).durable();
    else if (op === 'dsync-write')
      this.file(operation.file).durable(operation.at, operation.at + operation.cells);
    else if (op === 'syncfs') for (const file of this.files.values()) file.durable();
    else if (op !== 'fsyncdir') return false;
    this.acknowledged++;
    return true;
  }

  /** The names as text: equal texts are equal trees. */
  signature() {
    return signatureOf(
      [...this.nodes].map(([path, node]) => [
        path,
        node.kind === 'file' ? `file ${node.file}` : describe(node),
      ]),
    );
  }
}

/** @param {Exclude<Node, { kind: 'file' }>} node */
function describe(node) {
  return node.kind === 'symlink' ? `symlink to ${node.to}` : 'folder';
}

/**
 * Files are named by the first of their paths, so that a tree read from disk has the same text.
 * @param {[path: string, what: string][]} entries files as `file ` and anything that tells them
 * apart
 */
export function signatureOf(entries) {
  const sorted = entries.sort(([a], [b]) => (a < b ? -1 : 1));
  /** @type {Map<string, string>} */
  const first = new Map();
  const lines = sorted.map(([path, what]) => {
    if (!what.startsWith('file ')) return `${path}: ${what}`;
    if (!first.has(what)) first.set(what, path);
    return `${path}: file ${first.get(what)}`;
  });
  return lines.join('\n');
}
