/**
 * A copy of a tree from one side to another, with all that it is.
 *
 * Names come in the order of their bytes, one after the other: what comes of it depends on the tree
 * alone. A directory gets its mode and times when all that is in it is there.
 */
import { codeOf } from '../common/thrown.ts';
import { FILE_TYPE_MASK, FileType } from '../fs/format/format.ts';
import { CommandError } from './failure.ts';
import { below, lastName, type SourceTree, type TargetTree, type TreeNode } from './tree-sides.ts';

export interface TreeCopyOptions {
  /** Told of what cannot be kept: attributes that the other side does not take. */
  readonly lost?: (path: Buffer, what: string) => void;
  /** What a source says of itself, as the target is to have it. */
  readonly adapt?: (node: TreeNode) => TreeNode;
  /** Called after each name that was made. */
  readonly made?: () => Promise<void>;
}

/** Codes of an attribute that the target's filesystem, or its user, may not have. */
const NOT_KEPT = new Set(['EOPNOTSUPP', 'ENOTSUP', 'EPERM', 'EACCES', 'E2BIG', 'ERANGE']);

/** What makes room for another: of a device, FIFO or socket others are users. */
const REPLACED: ReadonlySet<number> = new Set([FileType.regular, FileType.symlink]);

interface Step {
  readonly from: Buffer;
  readonly to: Buffer;
  /** Of a directory whose content is there by now. */
  readonly done?: TreeNode;
}

export class TreeCopy {
  readonly #source: SourceTree;
  readonly #target: TargetTree;
  readonly #options: TreeCopyOptions;
  /** Of files with several names, where the first one is. */
  readonly #first = new Map<string, Buffer>();
  files = 0;

  constructor(source: SourceTree, target: TargetTree, options: TreeCopyOptions = {}) {
    this.#source = source;
    this.#target = target;
    this.#options = options;
  }

  /** Copies what is at `from`, and all below it, so that it is at `to`. @throws CommandError */
  async copy(from: Buffer, to: Buffer): Promise<void> {
    const steps: Step[] = [{ from, to }];
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
      if (step.done !== undefined) await this.#finish(step.from, step.to, step.done);
      else steps.push(...(await this.#take(step)));
    }
  }

  /** @returns what is to be done next, the last first */
  async #take({ from, to }: Step): Promise<Step[]> {
    const found = await this.#source.look(from);
    const node = this.#options.adapt?.(found) ?? found;
    this.files++;
    if ((node.mode & FILE_TYPE_MASK) === FileType.directory) return this.#enter(from, to, node);
    await this.#requireAnother(node, to);
    await this.#makeRoom(to, false);
    if (await this.#linked(node, to)) return [];
    await this.#make(from, to, node);
    await this.#finish(from, to, node);
    return [];
  }

  /** Within one tree: what makes room for its own copy would be gone. */
  async #requireAnother(node: TreeNode, to: Buffer): Promise<void> {
    if (!Object.is(this.#source, this.#target) || (await this.#target.typeAt(to, false)) === 0) return;
    const there = await this.#source.look(to);
    if (there.identity === node.identity) throw new CommandError(`${to} is what is to be copied`);
  }

  async #enter(from: Buffer, to: Buffer, node: TreeNode): Promise<Step[]> {
    if (!(await this.#makeRoom(to, true))) await this.#target.makeDirectory(to);
    const names = await this.#source.names(from);
    const inside = names.map((name) => ({ from: below(from, name), to: below(to, name) }));
    return [{ from, to, done: node }, ...inside.reverse()];
  }

  /** Is there a directory for a directory? A name that is in the way of a file goes. */
  async #makeRoom(to: Buffer, forDirectory: boolean): Promise<boolean> {
    const type = await this.#target.typeAt(to, false);
    if (type === 0) return false;
    const isDirectory = type === FileType.directory;
    if (isDirectory !== forDirectory) {
      const is = isDirectory ? 'a directory' : 'no directory';
      throw new CommandError(`${to} is there already, and is ${is}`);
    }
    if (!isDirectory && !REPLACED.has(type)) throw new CommandError(`${to} is there already, and is no file`);
    if (!isDirectory) await this.#target.remove(to);
    return isDirectory;
  }

  async #linked(node: TreeNode, to: Buffer): Promise<boolean> {
    if (node.links < 2) return false;
    const first = this.#first.get(node.identity);
    if (first === undefined) {
      this.#first.set(node.identity, to);
      return false;
    }
    await this.#target.makeHardLink(to, first);
    await this.#options.made?.();
    return true;
  }

  async #make(from: Buffer, to: Buffer, node: TreeNode): Promise<void> {
    const type = node.mode & FILE_TYPE_MASK;
    if (type === FileType.regular)
      await this.#target.makeFile(to, node.sizeBytes, this.#source.contents(from));
    else if (type === FileType.symlink)
      await this.#target.makeSymlink(to, await this.#source.linkTarget(from));
    else await this.#target.makeSpecial(to, node);
  }

  async #finish(from: Buffer, to: Buffer, node: TreeNode): Promise<void> {
    await this.#target.setOwnerAndMode(to, node);
    for (const attribute of await this.#source.attributes(from)) {
      try {
        await this.#target.setAttribute(to, attribute);
      } catch (thrown) {
        if (!NOT_KEPT.has(codeOf(thrown))) throw thrown;
        this.#options.lost?.(to, `attribute ${attribute[0]} (${codeOf(thrown)})`);
      }
    }
    await this.#target.setTimes(to, node);
    await this.#options.made?.();
  }
}

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
  if (type === FileType.directory) return name.length === 0 ? place : below(place, name);
  if (several || (place.length > 1 && place.at(-1) === 0x2f))
    throw new CommandError(`${place} is no directory${type === 0 ? ' that is there' : ''}`);
  return place;
}
