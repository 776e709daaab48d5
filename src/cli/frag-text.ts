/** Figures of fragmentation as text for people, and as data for `--json`. */
import { printable } from '../common/printable.ts';
import { plural } from '../common/words.ts';
import type { FaultList } from '../inspect/fault-list.ts';
import type { FreeSpaceFigures } from '../inspect/free-figures.ts';
import type { MappedExtent } from '../inspect/inode-extents.ts';
import type { LayoutFigures, SizeClassFigures } from '../inspect/layout-figures.ts';
import { hexText, utf8Text } from '../inspect/value-text.ts';
import type { FileFigures, NamedFile, VolumeFigures } from '../inspect/volume-figures.ts';
import { formatSize } from './sizes.ts';
import { factLines, widest } from './table-text.ts';

/** What is measured, for the first lines. */
export interface MeasuredPlace {
  /** The target, file or directory. */
  readonly name: string;
  readonly target: string;
  readonly mountedOn: string | undefined;
  readonly isClean: boolean;
  readonly committed: boolean;
  readonly blockBytes: number;
  readonly blockCount: number;
}

/** Columns of text, aligned; the first ones to the right, the last to the left. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => widest(rows, i));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === row.length - 1 ? cell : cell.padStart(widths[i] ?? 0))).join('  ');
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('');
}

function percent(share: number | null): string {
  return share === null ? '-' : `${(100 * share).toFixed(1)} %`;
}

function score(value: number | null): string {
  return value === null ? '-' : value.toFixed(4);
}

function stateText({ mountedOn, isClean, committed }: MeasuredPlace): string {
  if (mountedOn === undefined)
    return isClean ? 'not mounted' : 'not unmounted in order, or mounted where it cannot be seen from here';
  const when = committed ? 'read after a commit' : 'read without a commit';
  return `mounted on ${printable(mountedOn)}; ${when}, and may have moved meanwhile`;
}

function headLines(place: MeasuredPlace): string {
  const { name, target, blockBytes, blockCount } = place;
  return factLines([
    ['place', name === target ? undefined : printable(name)],
    ['volume', printable(target)],
    ['state', stateText(place)],
    ['blocks', `${blockCount} of ${blockBytes} bytes (${formatSize(blockCount * blockBytes)})`],
  ]);
}

function faultLines(faults: FaultList): string {
  if (faults.count === 0) return '';
  const more = faults.count - faults.first.length;
  const lines = [...faults.first.map(printable), ...(more > 0 ? [`… and ${more} more`] : [])];
  return `\n${plural(faults.count, 'part')} could not be read and ${faults.count === 1 ? 'is' : 'are'} left out:\n${lines.map((line) => `  ${line}\n`).join('')}`;
}

// ---- a volume or a directory ----

/** @param pathPrefix comes before the paths of files */
export function volumeText(place: MeasuredPlace, figures: VolumeFigures, pathPrefix: string): string {
  const { inodes, layout, freeSpace, worst, faults, unknownBlocks } = figures;
  const parts = [
    headLines(place),
    factLines([
      [
        'files',
        `${inodes.regular}: ${layout.files} with blocks, ${inodes.inline} with their data in the inode, ${inodes.empty} empty`,
      ],
      [
        'others',
        `${plural(inodes.directories, 'directory').replace('directorys', 'directories')}, ${plural(inodes.symlinks, 'symbolic link')}, ${inodes.others} of other types`,
      ],
      ...layoutFacts(layout),
    ]),
    sizeClassTable(figures.sizeClasses),
    freeSpace === undefined ? '' : freeSpaceText(freeSpace, place, unknownBlocks),
    worstTable(worst, pathPrefix),
  ];
  return parts.filter((part) => part !== '').join('\n') + faultLines(faults);
}

function layoutFacts({
  blocks,
  extents,
  extentsPerFile,
  inOnePiece,
  layoutScore,
}: LayoutFigures): [string, string][] {
  if (extentsPerFile === null) return [['extents', 'none: no file has blocks']];
  const { mean, p50, p95, p99, max } = extentsPerFile;
  return [
    ['extents', `${extents} with ${plural(blocks, 'block')}`],
    ['extents per file', `mean ${mean.toFixed(2)}, p50 ${p50}, p95 ${p95}, p99 ${p99}, max ${max}`],
    ['in one piece', `${percent(inOnePiece)} of files`],
    [
      'layout score',
      `${score(layoutScore.byBytes)} by bytes, ${score(layoutScore.byFile)} by file (1 is perfect)`,
    ],
  ];
}

function sizeClassTable(classes: readonly SizeClassFigures[]): string {
  if (classes.length === 0) return '';
  const size = (bytes: number) => formatSize(bytes).replace(/ (.)iB$/, '$1');
  const rows = classes.map(
    ({ aboveBytes, upToBytes, files, extents, inOnePiece, extentsPerFile, layoutScore }) => [
      upToBytes === null ? `above ${size(aboveBytes)}` : `to ${size(upToBytes)}`,
      `${files}`,
      `${extents}`,
      `${extentsPerFile?.max ?? '-'}`,
      percent(inOnePiece),
      score(layoutScore.byBytes),
    ],
  );
  return table([['file size', 'files', 'extents', 'most', 'in one piece', 'layout score'], ...rows]);
}

function freeSpaceText(
  { freeBlocks, runs, largestRunBlocks, meanRunBlocks, histogram, aligned }: FreeSpaceFigures,
  { blockBytes, blockCount }: MeasuredPlace,
  unknownBlocks: number,
): string {
  const size = (blocks: number) => `${plural(blocks, 'block')} (${formatSize(blocks * blockBytes)})`;
  const facts = factLines([
    ['free', `${size(freeBlocks)}, ${percent(freeBlocks / blockCount)} of the volume`],
    ['free runs', `${runs}`],
    ['largest run', runs === 0 ? undefined : size(largestRunBlocks)],
    [
      'mean run',
      meanRunBlocks === null
        ? undefined
        : `${meanRunBlocks.toFixed(1)} blocks (${formatSize(Math.round(meanRunBlocks * blockBytes))})`,
    ],
    ...aligned.map(({ chunkBytes, share, chunks }): [string, string] => [
      `in aligned ${formatSize(chunkBytes)}`,
      `${percent(share)} of free space, ${plural(chunks, 'chunk')}`,
    ]),
    ['unknown', unknownBlocks === 0 ? undefined : `${size(unknownBlocks)} whose bitmap cannot be read`],
  ]);
  if (histogram.length === 0) return facts;
  const short = (bytes: number) => formatSize(bytes).replace(/ (.)iB$/, '$1');
  const rows = histogram.map((found) => [
    `${short(found.fromBytes)}...${short(found.belowBytes).padStart(5)}-`,
    `${found.runs}`,
    `${found.blocks}`,
    percent(found.share),
  ]);
  return `${facts}\n${table([['free run size', 'runs', 'blocks', 'of free space'], ...rows])}`;
}

function worstTable(worst: readonly NamedFile[], pathPrefix: string): string {
  if (worst.length === 0) return '';
  const rows = worst.map(({ pieces, blocks, layoutScore, path, inode }) => [
    `${pieces}`,
    `${blocks}`,
    score(layoutScore),
    path === undefined
      ? `(inode ${inode}, without a name)`
      : printable(`${pathPrefix}${new TextDecoder().decode(path)}`),
  ]);
  return table([['extents', 'blocks', 'layout score', 'most extents have'], ...rows]);
}

export function volumeJson(place: MeasuredPlace, figures: VolumeFigures): Record<string, unknown> {
  const { worst, faults, ...rest } = figures;
  return {
    ...place,
    ...rest,
    worst: worst.map(({ path, pieces, ...file }) => ({ ...pathJson(path), ...file, extents: pieces })),
    faults: faultJson(faults),
  };
}

function pathJson(path: Uint8Array | undefined): Record<string, unknown> {
  if (path === undefined) return { path: null };
  const text = utf8Text(path);
  return text === undefined ? { pathHex: hexText(path) } : { path: text };
}

function faultJson({ count, first }: FaultList): Record<string, unknown> {
  return { count, first };
}

// ---- a file ----

/** As filefrag(8) prints it with -v. */
export function fileText(place: MeasuredPlace, figures: FileFigures): string {
  const { sizeBytes, blocks, pieces, extents, layoutScore, inline, faults } = figures;
  const name = printable(place.name);
  const lines = [
    `File size of ${name} is ${sizeBytes} (${plural(blocks, 'block')} of ${place.blockBytes} bytes)`,
    ...(extents.length === 0 ? [] : extentLines(place, figures)),
  ];
  const where = inline ? ': its data is in the inode' : '';
  const scored = layoutScore === null ? '' : `, layout score ${score(layoutScore)}`;
  lines.push(`${name}: ${plural(pieces, 'extent')} found${where}${scored}`);
  const live =
    place.mountedOn !== undefined && !place.committed ? '\nread without a commit: it may be older\n' : '';
  return `${lines.join('\n')}\n${live}${faultLines(faults)}`;
}

function extentLines(
  { blockBytes, blockCount }: MeasuredPlace,
  { extents, sizeBytes }: FileFigures,
): string[] {
  const lastBlock = extents.at(-1);
  const logicalWidth = Math.max(8, String((lastBlock?.fileBlock ?? 0) + (lastBlock?.length ?? 0)).length);
  const physicalWidth = Math.max(10, String(blockCount).length);
  const range = (from: number, length: number, width: number) =>
    `${String(from).padStart(width)}..${String(from + length - 1).padStart(width)}`;
  const heading = [
    ' ext:',
    'logical_offset:'.padStart(2 * logicalWidth + 3),
    'physical_offset:'.padStart(2 * physicalWidth + 3),
    'length:'.padStart(7),
    'expected:'.padStart(physicalWidth + 1),
    'flags:',
  ].join(' ');
  const lines = extents.map((extent, i) => {
    const before = extents[i - 1];
    const next = before === undefined ? extent.block : before.block + before.length;
    return [
      `${String(i).padStart(4)}:`,
      `${range(extent.fileBlock, extent.length, logicalWidth)}:`,
      `${range(extent.block, extent.length, physicalWidth)}:`,
      `${String(extent.length).padStart(6)}:`,
      next === extent.block ? ' '.repeat(physicalWidth + 1) : `${String(next).padStart(physicalWidth)}:`,
      flagsOf(extent, { isLast: i === extents.length - 1, sizeBytes, blockBytes }).join(','),
    ]
      .join(' ')
      .trimEnd();
  });
  return [heading, ...lines];
}

interface ExtentPlace {
  readonly isLast: boolean;
  readonly sizeBytes: number;
  readonly blockBytes: number;
}

/** As filefrag(8) names them. */
function flagsOf({ unwritten, fileBlock, length }: MappedExtent, place: ExtentPlace): string[] {
  const endBytes = (fileBlock + length) * place.blockBytes;
  return [
    ...(place.isLast ? ['last'] : []),
    ...(unwritten ? ['unwritten'] : []),
    ...(place.isLast && endBytes >= place.sizeBytes ? ['eof'] : []),
  ];
}

export function fileJson(place: MeasuredPlace, figures: FileFigures): Record<string, unknown> {
  const { extents, pieces, faults, ...file } = figures;
  return { ...place, ...file, extentCount: pieces, extents, faults: faultJson(faults) };
}
