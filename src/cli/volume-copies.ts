/** What `get`, `put` and `cp` share: trees copied between places, and what is said of it. */
import { plural } from '../common/words.ts';
import { pathText } from '../path-bytes.ts';
import { say, type Terminal } from './command.ts';
import { failureLine } from './failure.ts';
import { identitiesOf } from './local-tree.ts';
import { ProgressBar } from './progress.ts';
import { placeFor, TreeCopy } from './tree-copy.ts';
import type { SourceTree, TargetTree } from './tree-sides.ts';
import { placeError } from './volume-path.ts';

/** The word for standard input and output. */
export const STANDARD = '-';

/** Status of a copy that went well but for names, or attributes, that could not be kept. */
const LOSS_STATUS = 1;

/** What is copied, and where to. */
export interface Copies {
  readonly source: SourceTree;
  readonly paths: readonly Buffer[];
  readonly target: TargetTree;
  readonly place: Buffer;
  /** The images of the two sides, as far as they are volumes: no files to copy or to replace. */
  readonly images: { readonly source?: string; readonly target?: string };
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
  let failures = 0;
  const bar = terminal.interactive ? new ProgressBar(terminal) : undefined;
  const tell = (line: string) => {
    bar?.clear();
    say(terminal, line);
  };
  const copy: TreeCopy = new TreeCopy(source, target, {
    lost: (path, what) => lost.push(`${pathText(path)}: ${what}`),
    images: identitiesOf(Object.values(images)),
    failed: (thrown, ofSource) => {
      failures++;
      tell(failureLine(placeError(thrown, (ofSource ? images.source : images.target) ?? '')));
    },
    passed: (path) => tell(passedText(path)),
    ...(bar && { made: async () => bar.count(plural(copy.files, 'file')) }),
  });
  try {
    for (const path of paths) await copy.copy(path, await placeFor(target, place, path, paths.length > 1));
  } finally {
    bar?.clear();
  }
  const [first] = lost;
  if (first === undefined) return failures > 0 ? LOSS_STATUS : 0;
  const more = lost.length > 1 ? `, and ${lost.length - 1} more` : '';
  say(terminal, `not kept: ${first}${more}`);
  return LOSS_STATUS;
}
