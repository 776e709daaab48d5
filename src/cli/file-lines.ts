/** Files as lines: what `ls -l` shows of them. Pure. */
import { deviceMajor, deviceMinor } from '../common/device-number.ts';
import type { VolumeStats } from '../quarryfs.ts';
import { widest } from './table-text.ts';

const TYPES: readonly (readonly [is: (found: VolumeStats) => boolean, letter: string, name: string])[] = [
  [(found) => found.isDirectory(), 'd', 'directory'],
  [(found) => found.isFile(), '-', 'file'],
  [(found) => found.isSymbolicLink(), 'l', 'symlink'],
  [(found) => found.isFIFO(), 'p', 'fifo'],
  [(found) => found.isSocket(), 's', 'socket'],
  [(found) => found.isCharacterDevice(), 'c', 'character device'],
  [(found) => found.isBlockDevice(), 'b', 'block device'],
];

function typeOf(found: VolumeStats): readonly [letter: string, name: string] {
  const [, letter = '?', name = 'unknown'] = TYPES.find(([is]) => is(found)) ?? [];
  return [letter, name];
}

export function typeName(found: VolumeStats): string {
  return typeOf(found)[1];
}

/** Three letters of a mode; the last with a bit that is special. */
function letters(bits: number, special: boolean, mark: string): string {
  const runs = (bits & 1) !== 0;
  const last = special ? (runs ? mark : mark.toUpperCase()) : runs ? 'x' : '-';
  return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${last}`;
}

/** As `ls -l` begins: `drwxr-x---`. */
export function modeText(found: VolumeStats): string {
  const { mode } = found;
  const [letter] = typeOf(found);
  const user = letters((mode >> 6) & 7, (mode & 0o4000) !== 0, 's');
  const group = letters((mode >> 3) & 7, (mode & 0o2000) !== 0, 's');
  return `${letter}${user}${group}${letters(mode & 7, (mode & 0o1000) !== 0, 't')}`;
}

/** Numbers of a device as `ls -l` shows them, of anything else its length. */
function sizeText(found: VolumeStats): string {
  if (!found.isCharacterDevice() && !found.isBlockDevice()) return `${found.size}`;
  const { rdev } = found;
  return `${deviceMajor(rdev)}, ${deviceMinor(rdev)}`;
}

/** A time to the second, of everywhere. */
export function timeOf(found: VolumeStats): string {
  return Number.isNaN(found.mtime.getTime()) ? '?' : found.mtime.toISOString().replace(/\.\d+Z$/, 'Z');
}

export interface ShownFile {
  /** As it is to be shown, with what it leads to. */
  readonly name: string;
  readonly stats: VolumeStats;
}

/** Lines in columns, each with its end. */
export function longLines(files: readonly ShownFile[]): string {
  const rows = files.map(({ name, stats }) => [
    modeText(stats),
    `${stats.nlink}`,
    `${stats.uid}`,
    `${stats.gid}`,
    sizeText(stats),
    timeOf(stats),
    name,
  ]);
  const widths = [1, 2, 3, 4].map((column) => widest(rows, column));
  return rows
    .map(([mode, links = '', uid = '', gid = '', size = '', time, name]) => {
      const numbers = [links, uid, gid, size].map((text, index) => text.padStart(widths[index] ?? 0));
      return `${[mode, ...numbers, time, name].join(' ')}\n`;
    })
    .join('');
}
