/**
 * A copy of a tree from one side to another, with all that it is.
 *
 * Names come in the order of their bytes, one after the other: what comes of it depends on the tree
 * alone. A directory gets its mode and times when all that is in it is there.
 */
import { codeOf } from '../common/thrown.ts';
import { FILE_TYPE_MASK, FileType } from '../fs/format/format.ts';
import { dress, type Lost } from './dressing.ts';
import { CommandError } from './failure.ts';
import { madeBeside, madeThere } from './made-beside.ts';
import {
  below,
  type ContentPiece,
  lastName,
  type SourceTree,
  type TargetTree,
  type TreeNode,
} from './tree-sides.ts';

export interface TreeCopyOptions {
  /** Told of what cannot be kept: attributes that the other side does not take. */
  readonly lost?: Lost;
  /** What a source says of itself, as the target is to have it. */
  readonly adapt?: (node: TreeNode) => TreeNode;
  /** Identities of files of the system that hold a volume which is open here. */
  readonly images?: ReadonlySet<string>;
  /** Told of those among the sources, which are not copied. */
  readonly passed?: (path: Buffer) => void;
  /**
   * Told of an error of one name, without which the copy goes on. Where nobody is, it ends.
   * @param ofSource whose error it is
   */
  readonly failed?: (thrown: unknown, ofSource: boolean) => void;
  /** Nobody looks at the target before the copy has ended: files are made under their own names. */
  readonly inPlace?: boolean;
  /** Called after each name that was made. */
  readonly made?: () => Promise<void>;
}

/** What the target says of itself, and not of one name. */
export const NO_MORE: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EUCLEAN', 'EBADF']);

/** What makes room for another: of a device, FIFO or socket others are users. */
const REPLACED: ReadonlySet<number> = new Set([FileType.regular, FileType.symlink]);

/** @param type of what is there; 0 for nothing @throws CommandError */
export function requireFile(to: Buffer, type: number): void {
  if (type !== 0 && !REPLACED.has(type)) throw new CommandError(`${to} is there already, and is no file`);
}

interface Step {
  readonly from: Buffer;
  readonly to: Buffer;
  /** In a directory that this copy made: nothing is there yet. */
  readonly isNew: boolean;
  /** Of a directory whose content is there by now. */
  readonly done?: TreeNode;
}

export class TreeCopy {
  readonly #source: SourceTree;
  readonly #target: TargetTree;
  readonly #options: TreeCopyOptions;
  /** Of files with several names, where the first one is. */
  readonly #first = new Map<string, Buffer>();
  /** And which of them is at a place. */
  readonly #firstAt = new Map<string, string>();
  /** Errors. */
  readonly #ofSource = new WeakSet<object>();
  files = 0;

  constructor(source: SourceTree, target: TargetTree, options: TreeCopyOptions = {}) {
    this.#source = source;
    this.#target = target;
    this.#options = options;
  }

  /** Copies what is at `from`, and all below it, so that it is at `to`. @throws CommandError */
  async copy(from: Buffer, to: Buffer): Promise<void> {
    await this.#source.begin?.(from);
    await this.#target.begin?.(to);
    try {
      await this.#copy(from, to);
    } finally {
      await this.#source.end?.();
      await this.#target.end?.();
    }
  }

  async #copy(from: Buffer, to: Buffer): Promise<void> {
    const steps: Step[] = [{ from, to, isNew: false }];
    try {
      for (let step = steps.pop(); step !== undefined; step = steps.pop()) await this.#next(step, steps);
    } catch (thrown) {
      // No directory stays closed to its owner because there was no room for all that is in it.
      for (const { done, ...on } of steps.reverse())
        if (done !== undefined) await this.#finish(on.from, on.to, done).catch(() => {});
      throw thrown;
    }
  }

  async #next(step: Step, steps: Step[]): Promise<void> {
    try {
      if (step.done !== undefined) await this.#finish(step.from, step.to, step.done);
      else await this.#take(step, steps);
    } catch (thrown) {
      this.#passOver(thrown);
    }
  }

  /** @throws what ends the copy */
  #passOver(thrown: unknown): void {
    const ofSource = this.#ofSource.has(Object(thrown));
    const isOne = ofSource || thrown instanceof CommandError || codeOf(thrown) !== '';
    if (this.#options.failed === undefined || !isOne || (!ofSource && NO_MORE.has(codeOf(thrown))))
      throw thrown;
    this.#options.failed(thrown, ofSource);
  }

  /** Remembers whose error it is. */
  async #asked<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (thrown) {
      this.#ofSource.add(Object(thrown));
      throw thrown;
    }
  }

  async *#contents(from: Buffer, node: TreeNode): AsyncIterable<ContentPiece> {
    const pieces = this.#source.contents(from, node)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { value, done } = await this.#asked(pieces.next());
        if (done) return;
        yield value;
      }
    } finally {
      await pieces.return?.();
    }
  }

  /** @param steps gets what is to be done next, the last first */
  async #take(step: Step, steps: Step[]): Promise<void> {
    const { from, to } = step;
    const found = await this.#asked(this.#source.look(from));
    if (this.#options.images?.has(found.identity)) {
      this.#options.passed?.(from);
      return;
    }
    const node = this.#options.adapt?.(found) ?? found;
    this.files++;
    if ((node.mode & FILE_TYPE_MASK) === FileType.directory) return this.#enter(step, node, steps);
    const first = this.#first.get(node.identity);
    if (first !== undefined && (await this.#isAt(first, to))) return;
    await this.#requireAnother(node, to);
    await this.#fits(to, false);
    const place = step.isNew && this.#options.inPlace === true ? madeThere : madeBeside;
    await place(this.#target, to, async (at) => {
      if (first !== undefined) return await this.#target.makeHardLink(at, first);
      await this.#make(from, at, node);
      await this.#dress(from, to, node, at);
    });
    this.#remember(node, to);
    await this.#options.made?.();
  }

  /** Whether the place is the very one, or has the very file by now. */
  async #isAt(first: Buffer, to: Buffer): Promise<boolean> {
    if (first.equals(to)) return true;
    const there = await this.#target.identityAt(to);
    return there !== undefined && there === (await this.#target.identityAt(first));
  }

  #remember(node: TreeNode, to: Buffer): void {
    const place = to.toString('latin1');
    const before = this.#firstAt.get(place);
    if (before !== undefined) {
      this.#first.delete(before);
      this.#firstAt.delete(place);
    }
    if (node.links < 2 || this.#first.has(node.identity)) return;
    this.#first.set(node.identity, to);
    this.#firstAt.set(place, node.identity);
  }

  /** Within one tree: what would make room for its own copy. */
  async #requireAnother(node: TreeNode, to: Buffer): Promise<void> {
    if (Object.is(this.#source, this.#target) && (await this.#target.identityAt(to)) === node.identity)
      throw new CommandError(`${to} is what is to be copied`);
  }

  async #enter({ from, to }: Step, node: TreeNode, steps: Step[]): Promise<void> {
    const isNew = !(await this.#fits(to, true));
    if (isNew) await this.#target.makeDirectory(to);
    steps.push({ from, to, isNew, done: node });
    const names = await this.#asked(this.#source.names(from));
    for (const name of names.reverse()) steps.push({ from: below(from, name), to: below(to, name), isNew });
  }

  /** Is there something that gives way to a file, or that a directory may become one with? */
  async #fits(to: Buffer, forDirectory: boolean): Promise<boolean> {
    const type = await this.#target.typeAt(to, false);
    if (type === 0) return false;
    const isDirectory = type === FileType.directory;
    if (isDirectory !== forDirectory) {
      const is = isDirectory ? 'a directory' : 'no directory';
      throw new CommandError(`${to} is there already, and is ${is}`);
    }
    if (isDirectory) return true;
    requireFile(to, type);
    const { images } = this.#options;
    if (images?.has((await this.#target.identityAt(to)) ?? ''))
      throw new CommandError(`${to} is the image itself, and is not replaced`);
    return true;
  }

  async #make(from: Buffer, to: Buffer, node: TreeNode): Promise<void> {
    const type = node.mode & FILE_TYPE_MASK;
    if (type === FileType.regular) await this.#target.makeFile(to, this.#contents(from, node));
    else if (type === FileType.symlink)
      await this.#target.makeSymlink(to, await this.#asked(this.#source.linkTarget(from)));
    else await this.#target.makeSpecial(to, node);
  }

  async #finish(from: Buffer, to: Buffer, node: TreeNode): Promise<void> {
    await this.#dress(from, to, node);
    await this.#options.made?.();
  }

  /** @param at where it is, before it is at `to` */
  async #dress(from: Buffer, to: Buffer, node: TreeNode, at = to): Promise<void> {
    const attributes = await this.#asked(this.#source.attributes(from));
    await dress(this.#target, at, { node, attributes }, (_at, what) => this.#options.lost?.(to, what));
  }
}

/** Last names that are no names: of a directory there is only what is in it then. */
const NO_NAMES = ['', '.', '..'];

/**
 * Where a source goes that is copied to a place: into it if that is a directory, else to the place
 * itself.
 * @param several there are more sources: the place must be a directory
 * @throws CommandError
 */
export async function placeFor(
  target: TargetTree,
  place: Buffer,
  source: Buffer,
  several: boolean,
): Promise<Buffer> {
  const type = await target.typeAt(place, true);
  const name = lastName(source);
  const isNamed = !NO_NAMES.includes(name.toString('latin1'));
  if (type === FileType.directory) return isNamed ? below(place, name) : place;
  if (several || (place.length > 1 && place.at(-1) === 0x2f))
    throw new CommandError(`${place} is no directory${type === 0 ? ' that is there' : ''}`);
  return place;
}
