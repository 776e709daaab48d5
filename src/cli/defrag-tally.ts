/** What became of the files that `quarry defrag` went through: sums, and what is shown of them. */
import { printable } from '../common/printable.ts';
import { plural } from '../common/words.ts';
import { isUtf8, pathBytes } from '../path-bytes.ts';
import type { DefragmentedPart, FileOutcome } from './defragmenting.ts';
import type { WalkedFile } from './file-walk.ts';
import { formatSize } from './sizes.ts';
import { factLines } from './table-text.ts';

/** What became of a file. */
export interface DefragmentedFile {
  readonly path: string;
  readonly inode: number;
  readonly outcome: FileOutcome;
  readonly pieces: number;
  readonly piecesAfter: number;
  readonly movedBytes: number;
  readonly reason: string;
}

/** The parts of a file that were done for one question each. @param parts at least one */
export function fileOf(
  { path, inode }: WalkedFile,
  parts: readonly DefragmentedPart[],
  isDryRun: boolean,
  outcome: FileOutcome,
): DefragmentedFile {
  const sum = (of: (part: DefragmentedPart) => number) => parts.reduce((total, part) => total + of(part), 0);
  const pieces = parts[0]?.pieces ?? 0;
  const planned = pieces - sum(({ saved }) => saved);
  const piecesAfter = isDryRun ? planned : (parts.at(-1)?.piecesAfter ?? planned);
  const reason = parts.find((part) => part.reason !== '')?.reason ?? '';
  return {
    path,
    inode,
    outcome,
    pieces,
    piecesAfter,
    movedBytes: sum(({ movedBytes }) => movedBytes),
    reason,
  };
}

const LEFT = {
  nowhere: 'for want of a better place',
  full: 'for want of free space',
  refused: 'that belong to others',
  failed: 'because of an error',
} as const satisfies Partial<Record<FileOutcome, string>>;
type LeftOutcome = keyof typeof LEFT;
const LEFT_OUTCOMES = Object.keys(LEFT) as LeftOutcome[];

export class DefragTally {
  /** Regular files, those with nothing to do included. */
  files = 0;
  /** Directories that could not be read. */
  unseen = 0;
  #fragmented = 0;
  #better = 0;
  #pieces = 0;
  #piecesAfter = 0;
  #movedBytes = 0;
  readonly #left: Record<LeftOutcome, number> = { nowhere: 0, full: 0, refused: 0, failed: 0 };
  readonly #all: DefragmentedFile[] = [];

  /** @param keepsAll whether JSON lists the files */
  constructor(
    readonly dryRun: boolean,
    readonly keepsAll: boolean,
  ) {}

  add(file: DefragmentedFile): void {
    const { outcome, pieces, piecesAfter, movedBytes } = file;
    if (pieces > 1) this.#fragmented++;
    this.#pieces += pieces;
    this.#piecesAfter += piecesAfter;
    this.#movedBytes += movedBytes;
    if (outcome === 'better') this.#better++;
    else if (outcome !== 'fine') this.#left[outcome]++;
    if (this.keepsAll) this.#all.push(file);
  }

  /** Was everything looked at that was named? */
  get isWhole(): boolean {
    return this.unseen === 0 && this.#left.failed === 0 && this.#left.refused === 0;
  }

  text(stopped: boolean): string {
    const some = this.#fragmented;
    const after = this.dryRun ? `would be ${this.#piecesAfter} at best` : `now ${this.#piecesAfter}`;
    const left = LEFT_OUTCOMES.filter((outcome) => this.#left[outcome] > 0).map(
      (outcome) => `${this.#left[outcome]} ${LEFT[outcome]}`,
    );
    return factLines([
      ['files', `${this.files}, ${some || 'none'} in more than one piece${stopped ? '; stopped' : ''}`],
      ['better', some === 0 ? undefined : `${this.#better}`],
      ['pieces', some === 0 ? undefined : `${this.#pieces}, ${after}`],
      ['moved', some === 0 || this.dryRun ? undefined : formatSize(this.#movedBytes)],
      ['left alone', left.length > 0 ? left.join(', ') : undefined],
    ]);
  }

  json(names: readonly string[], stopped: boolean): Record<string, unknown> {
    return {
      names,
      dryRun: this.dryRun,
      stopped,
      files: this.files,
      fragmented: this.#fragmented,
      better: this.#better,
      pieces: this.#pieces,
      piecesAfter: this.#piecesAfter,
      movedBytes: this.#movedBytes,
      left: this.#left,
      unseenDirectories: this.unseen,
      ...(this.keepsAll ? { each: this.#all.map(fileJson) } : {}),
    };
  }
}

function fileJson({ path, reason, ...rest }: DefragmentedFile): Record<string, unknown> {
  const name = isUtf8(path) ? { path } : { pathHex: pathBytes(path).toString('hex') };
  return { ...name, ...rest, ...(reason === '' ? {} : { reason }) };
}

/** `mnt/a: 60 pieces, now 1`. */
export function fileLine(
  { path, outcome, pieces, piecesAfter, reason }: DefragmentedFile,
  dryRun: boolean,
): string {
  const name = printable(path);
  const lies = plural(pieces, 'piece');
  if (outcome === 'better')
    return `${name}: ${lies}, ${dryRun ? `would be ${piecesAfter} at best` : `now ${piecesAfter}`}\n`;
  if (outcome === 'refused') return `${name}: belongs to another user\n`;
  if (outcome === 'failed') return `${name}: ${reason}\n`;
  if (outcome === 'fine') return `${name}: ${lies}, long enough\n`;
  return `${name}: ${lies}, left alone ${LEFT[outcome]}\n`;
}
