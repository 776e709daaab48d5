/** What `get`, `put` and `cp` share: trees copied between places, and what is said of it. */
import { pathText } from '../path-bytes.ts';
import { say, type Terminal } from './command.ts';
import { identitiesOf } from './local-tree.ts';
import { placeFor, TreeCopy } from './tree-copy.ts';
import type { SourceTree, TargetTree } from './tree-sides.ts';

/** The word for standard input and output. */
export const STANDARD = '-';

/** Status of a copy that went well but for attributes that could not be kept. */
const LOSS_STATUS = 1;

/** What is copied, and where to. */
export interface Copies {
  readonly source: SourceTree;
  readonly paths: readonly Buffer[];
  readonly target: TargetTree;
  readonly place: Buffer;
  /** Of the volumes that are open, which are no files to copy or to replace. */
  readonly images: readonly string[];
}

/** What is said of an image among the sources, as tar says it of an archive. */
export function passedText(path: Buffer): string {
  return `${pathText(path)} is the image itself; not copied`;
}

/**
 * Copies sources to a place, or into it where it is a directory.
 * @returns exit status
 * @throws CommandError, and errors of the two sides
 */
export async function copyAll(copies: Copies, terminal: Terminal): Promise<number> {
  const { source, paths, target, place, images } = copies;
  const lost: string[] = [];
  const copy = new TreeCopy(source, target, {
    lost: (path, what) => lost.push(`${pathText(path)}: ${what}`),
    images: identitiesOf(images),
    passed: (path) => say(terminal, passedText(path)),
  });
  for (const path of paths) await copy.copy(path, await placeFor(target, place, path, paths.length > 1));
  const [first] = lost;
  if (first === undefined) return 0;
  const more = lost.length > 1 ? `, and ${lost.length - 1} more` : '';
  say(terminal, `not kept: ${first}${more}`);
  return LOSS_STATUS;
}
