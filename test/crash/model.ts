/**
 * What a volume has to look like after each operation: a naive model, and its history.
 *
 * Every event of the model (an operation began, took effect, or is known to be durable) happens at
 * a tick. Whenever names, attributes or sizes change there is a new version: a snapshot of the
 * tree. Content is kept apart: for each file the list of writes and truncations, with the ticks
 * between which they took effect.
 *
 * Most operations are one transaction whose moment is known exactly: the version is made then.
 * Writes answered early and truncations are not; between their begin and their end the file has
 * several possible sizes.
 */

export type NodeKind = 'file' | 'directory' | 'symlink' | 'whiteout';

/** An inode of the model; never changed. */
export interface ModelNode {
  readonly id: number;
  readonly kind: NodeKind;
  readonly mode: number;
  /** Of a symlink. */
  readonly target: string;
  /** Extended attributes, as `attributesText` writes them. */
  readonly attributes: string;
  /** Of `FileFlag`; all that are used here are inherited. */
  readonly flags: number;
}

/** Sizes that a file may have; those before the last truncation do not count any more. */
export interface SizeState {
  readonly sizes: readonly number[];
  readonly truncations: number;
}

export interface Version {
  readonly tick: number;
  /** Names, kinds, modes, link counts, symlink targets, as `treeSignature` writes them. */
  readonly signature: string;
  /** Path → id, for files only. */
  readonly files: ReadonlyMap<string, number>;
  readonly sizes: ReadonlyMap<number, SizeState>;
}

/** A change of the bytes [from, to) of a file. */
export interface ContentChange {
  /** Of a write: number of its pattern; 0 for zeros (truncation); below 0 what was copied. */
  readonly pattern: number;
  readonly from: number;
  readonly to: number;
  /** Place in the device log when it began. */
  readonly beginPosition: number;
  readonly beginTick: number;
  /** Tick at which it was over for sure. */
  endTick: number;
  /** Place in the device log from which on it must survive. */
  durablePosition: number;
  /** From this tick on nothing is left of it: it could be seen only while something went on. */
  goneTick: number;
}

/** One line of a signature. `same` is the first path of the same inode. */
export interface TreeEntry {
  readonly path: string;
  readonly kind: NodeKind;
  readonly mode: number;
  readonly links: number;
  readonly target: string;
  readonly attributes: string;
  readonly flags: number;
  readonly same: string;
}

/** What hangs together: an ACL is an attribute, and shows in the mode. */
export interface NodeAttributes {
  /** Without the type. */
  readonly mode: number;
  /** Extended attributes, as `attributesText` writes them. */
  readonly attributes: string;
}

/** Each value is bytes of one kind. */
export function attributesText(attributes: ReadonlyMap<string, Uint8Array>): string {
  const texts = [...attributes].map(([name, value]) => {
    const isPlain = value.every((byte) => byte === value[0]);
    return `${name}=${value.length}×${isPlain ? (value[0] ?? 0) : 'broken'}`;
  });
  return texts.sort().join(' ');
}

/** @param entries sorted by path */
export function treeSignature(entries: readonly TreeEntry[]): string {
  return entries
    .map(
      ({ path, kind, mode, links, target, attributes, flags, same }) =>
        `${path || '/'} ${kind} ${mode.toString(8)} links ${links}${same === path ? '' : ` same as ${same}`}${target ? ` → ${target}` : ''}${attributes ? ` {${attributes}}` : ''}${flags ? ` flags ${flags}` : ''}`,
    )
    .join('\n');
}

export const ROOT_NODE: ModelNode = {
  id: 1,
  kind: 'directory',
  mode: 0o755,
  target: '',
  attributes: '',
  flags: 0,
};

export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

export function comparePaths(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

export class Model {
  /** Path → node; the root is ''. */
  readonly names = new Map<string, ModelNode>([['', ROOT_NODE]]);
  readonly sizes = new Map<number, SizeState>();
  readonly contents = new Map<number, ContentChange[]>();
  readonly versions: Version[] = [];
  tick = 0;
  #nextId = 2;

  constructor() {
    this.commitVersion();
  }

  /** The tree as it is now becomes a version. */
  commitVersion(): void {
    this.tick++;
    const files = new Map<string, number>();
    for (const [path, { id, kind }] of this.names) if (kind === 'file') files.set(path, id);
    const signature = treeSignature(this.#entries());
    this.versions.push({ tick: this.tick, signature, files, sizes: new Map(this.sizes) });
  }

  #entries(): TreeEntry[] {
    const firstPaths = new Map<number, string>();
    const links = new Map<number, number>();
    const add = (id: number) => links.set(id, (links.get(id) ?? 0) + 1);
    const paths = [...this.names.keys()].sort(comparePaths);
    for (const path of paths) {
      const { id, kind } = this.get(path);
      if (!firstPaths.has(id)) firstPaths.set(id, path);
      add(id);
      if (kind === 'directory') {
        add(id);
        if (path !== '') add(this.get(parentOf(path)).id);
      }
    }
    return paths.map((path) => {
      const { id, kind, mode, target, attributes, flags } = this.get(path);
      return {
        path,
        kind,
        mode,
        target,
        attributes,
        flags,
        links: links.get(id) ?? 0,
        same: firstPaths.get(id) ?? '',
      };
    });
  }

  get(path: string): ModelNode {
    const node = this.names.get(path);
    if (!node) throw new Error(`the model has no ${path}`);
    return node;
  }

  // ---- names ----

  add(path: string, kind: NodeKind, attributes: NodeAttributes, target = ''): ModelNode {
    const node = this.make(parentOf(path), kind, attributes, target);
    this.names.set(path, node);
    return node;
  }

  /** A node without a name. */
  make(parent: string, kind: NodeKind, { mode, attributes }: NodeAttributes, target = ''): ModelNode {
    const { flags } = this.get(parent);
    const node = { id: this.#nextId++, kind, mode, target, attributes, flags };
    if (kind === 'file') {
      this.sizes.set(node.id, { sizes: [0], truncations: 0 });
      this.contents.set(node.id, []);
    }
    return node;
  }

  link(from: string, to: string): void {
    this.names.set(to, this.get(from));
  }

  remove(path: string): void {
    this.names.delete(path);
  }

  rename(from: string, to: string): void {
    if (this.names.get(to)?.id === this.get(from).id) return;
    const moved = this.#takeTree(from);
    this.names.delete(to);
    for (const [rest, node] of moved) this.names.set(to + rest, node);
  }

  exchange(left: string, right: string): void {
    const fromLeft = this.#takeTree(left);
    const fromRight = this.#takeTree(right);
    for (const [rest, node] of fromLeft) this.names.set(right + rest, node);
    for (const [rest, node] of fromRight) this.names.set(left + rest, node);
  }

  #takeTree(top: string): [rest: string, ModelNode][] {
    const taken: [string, ModelNode][] = [];
    for (const [path, node] of [...this.names]) {
      if (path !== top && !path.startsWith(`${top}/`)) continue;
      this.names.delete(path);
      taken.push([path.slice(top.length), node]);
    }
    return taken;
  }

  changeFlags(path: string, flags: number): void {
    this.#change({ ...this.get(path), flags });
  }

  changeAttributes(path: string, { mode, attributes }: NodeAttributes): void {
    this.#change({ ...this.get(path), mode, attributes });
  }

  #change(changed: ModelNode): void {
    for (const [name, node] of this.names) if (node.id === changed.id) this.names.set(name, changed);
  }

  isEmpty(directory: string): boolean {
    for (const path of this.names.keys()) if (path.startsWith(`${directory}/`)) return false;
    return true;
  }

  // ---- sizes and content ----

  sizeState(id: number): SizeState {
    return this.sizes.get(id) ?? { sizes: [0], truncations: 0 };
  }

  /** The largest size that the file may have. */
  largestSize(id: number): number {
    return Math.max(...this.sizeState(id).sizes);
  }

  setSizes(id: number, sizes: Iterable<number>, truncations = this.sizeState(id).truncations): void {
    this.sizes.set(id, { sizes: [...new Set(sizes)], truncations });
  }

  beginChange(id: number, pattern: number, from: number, to: number, beginPosition: number): ContentChange {
    const change = {
      pattern,
      from,
      to,
      beginPosition,
      beginTick: ++this.tick,
      endTick: Number.POSITIVE_INFINITY,
      durablePosition: Number.POSITIVE_INFINITY,
      goneTick: Number.POSITIVE_INFINITY,
    };
    this.contents.get(id)?.push(change);
    return change;
  }

  /** Takes back a change that never touched anything. */
  dropChange(id: number, change: ContentChange): void {
    const changes = this.contents.get(id);
    changes?.splice(changes.indexOf(change), 1);
  }
}
