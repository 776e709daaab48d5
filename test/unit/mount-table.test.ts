/** Mounts that were moved, stacked and covered, as the mount table shows them. */
import { describe, expect, test } from 'vitest';
import {
  connectionOf,
  coversOf,
  type MountRecord,
  ownerOf,
  parseMountinfo,
  topmostOn,
} from '../../src/fuse/mount-table.ts';

function table(...lines: string[]): MountRecord[] {
  return parseMountinfo(lines.join('\n'));
}

const ROOT = '22 1 254:0 / / rw - ext4 /dev/vda rw';
const ours = (id: number, parent: number, directory: string) =>
  `${id} ${parent} 0:${id} / ${directory} rw - fuse.quarry /a.img rw,user_id=1000,group_id=100,default_permissions`;
const other = (id: number, parent: number, directory: string) =>
  `${id} ${parent} 0:${id} / ${directory} rw - tmpfs none rw`;

function coversIn(mounts: readonly MountRecord[], id: number): number[] {
  const mount = mounts.find((found) => found.id === id);
  if (mount === undefined) throw new Error(`no mount ${id}`);
  return coversOf(mounts, mount).map((cover) => cover.id);
}

describe('what is on top', () => {
  test('the mount in the mount, wherever it stands in the table', () => {
    expect(topmostOn(table(ROOT, ours(40, 22, '/m')), '/m')?.id).toBe(40);
    expect(topmostOn(table(ROOT, ours(40, 22, '/m'), other(41, 40, '/m')), '/m')?.id).toBe(41);
    // One that was moved there keeps its early place.
    expect(topmostOn(table(ROOT, other(30, 40, '/m'), ours(40, 22, '/m')), '/m')?.id).toBe(30);
    expect(topmostOn(table(ROOT), '/m')).toBeUndefined();
  });
});

describe('what covers a mount', () => {
  test.each([
    ['nothing', [ours(40, 22, '/a/m')], []],
    ['a mount in it, further down', [ours(40, 22, '/a/m'), other(41, 40, '/a/m/below')], []],
    ['a neighbour', [ours(40, 22, '/a/m'), other(41, 22, '/a/mm'), other(42, 22, '/b')], []],
    ['one on it', [ours(40, 22, '/a/m'), other(41, 40, '/a/m')], [41]],
    [
      'two on it, the upper first',
      [ours(40, 22, '/a/m'), other(41, 40, '/a/m'), other(42, 41, '/a/m')],
      [42, 41],
    ],
    ['one on a parent directory', [ours(40, 22, '/a/m'), other(41, 22, '/a')], [41]],
    ['one in that', [ours(40, 22, '/a/m'), other(41, 22, '/a'), other(42, 41, '/a/m')], [42, 41]],
    ['not the mount it is in', [other(39, 22, '/a'), ours(40, 39, '/a/m')], []],
  ])('%s', (_, lines, expected) => {
    expect(coversIn(table(ROOT, ...lines), 40)).toEqual(expected);
  });

  test('a table that is wrong ends too', () => {
    expect(coversIn(table(ours(40, 41, '/m'), other(41, 40, '/m')), 40)).toEqual([]);
  });
});

test('whose it is, and its connection', () => {
  const [mount] = table(ours(40, 22, '/m'));
  if (mount === undefined) throw new Error('no mount');
  expect(ownerOf(mount)).toEqual({ uid: 1000, gid: 100, allowOther: false });
  expect(connectionOf(mount)).toBe(40);
  expect(connectionOf({ ...mount, deviceNumbers: '7:3' })).toBe(7340035);
  expect(ownerOf({ ...mount, options: 'rw,allow_other,max_read=4096' })).toEqual({
    uid: 0,
    gid: 0,
    allowOther: true,
  });
});
