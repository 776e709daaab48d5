/**
 * Byte ranges of one file that were lost: sorted lists without overlaps, never changed in place.
 *
 * A range may have a copy of its data. Those that have none are joined where they touch, and where
 * there are too many of them the nearest are joined over what lies between: more is called lost
 * than was, never less.
 */
import type { Memory } from '../../aio/device.ts';
import type { FsError } from '../base/errors.ts';

/** Data of one inode in memory, for one range or for what is left of it. */
export interface Copy {
  readonly inode: number;
  readonly memory: Memory;
}

export interface LostRange {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  readonly error: FsError;
  /** The volume had no room for it, which its writer was told. */
  readonly noRoom: boolean;
  readonly copy: Copy | undefined;
  /** Where the data of `from` stands in the copy. */
  readonly at: number;
}

function part(range: LostRange, from: number, to: number): LostRange {
  return { ...range, from, to, at: range.at + from - range.from };
}

/** The ranges without bytes [from, to). */
export function withoutBytes(ranges: readonly LostRange[], from: number, to: number): LostRange[] {
  return ranges.flatMap((range) => {
    if (range.to <= from || range.from >= to) return [range];
    const before = range.from < from ? [part(range, range.from, from)] : [];
    return range.to > to ? [...before, part(range, to, range.to)] : before;
  });
}

/** The ranges and `added`, which takes the place of what it overlaps. */
export function withRange(ranges: readonly LostRange[], added: LostRange): LostRange[] {
  const others = withoutBytes(ranges, added.from, added.to);
  const index = others.findIndex((range) => range.from >= added.to);
  others.splice(index < 0 ? others.length : index, 0, added);
  return others;
}

/** The ranges, where those with the copy have none. */
export function withoutCopy(ranges: readonly LostRange[], copy: Copy): LostRange[] {
  return ranges.map((range) => (range.copy === copy ? { ...range, copy: undefined } : range));
}

/** Neighbours without copies as one, which has the first one's error. */
function joined(first: LostRange, second: LostRange): LostRange {
  return { ...first, to: second.to, noRoom: first.noRoom && second.noRoom };
}

function mayJoin(first: LostRange | undefined, second: LostRange): first is LostRange {
  return first !== undefined && first.copy === undefined && second.copy === undefined;
}

/** Ranges that touch, and were lost for the same reason, as one. */
function touchingJoined(ranges: readonly LostRange[]): LostRange[] {
  const result: LostRange[] = [];
  for (const range of ranges) {
    const last = result.at(-1);
    const alike = last?.error === range.error && last.noRoom === range.noRoom;
    if (mayJoin(last, range) && alike && last.to === range.from) {
      result[result.length - 1] = joined(last, range);
    } else result.push(range);
  }
  return result;
}

/** Joins the nearest two neighbours that have no copy; false if there are none. */
function joinNearest(ranges: LostRange[]): boolean {
  let nearest: { readonly at: number; readonly gap: number; readonly range: LostRange } | undefined;
  for (const [index, second] of ranges.entries()) {
    const first = ranges[index - 1];
    if (!mayJoin(first, second)) continue;
    const gap = second.from - first.to;
    if (nearest !== undefined && gap >= nearest.gap) continue;
    nearest = { at: index - 1, gap, range: joined(first, second) };
  }
  if (nearest === undefined) return false;
  ranges.splice(nearest.at, 2, nearest.range);
  return true;
}

/** As few ranges as say the same; at most `most` without a copy between two that have one. */
export function simplified(ranges: readonly LostRange[], most: number): LostRange[] {
  const result = touchingJoined(ranges);
  let bare = result.filter((range) => range.copy === undefined).length;
  while (bare > most && joinNearest(result)) bare--;
  return result;
}
