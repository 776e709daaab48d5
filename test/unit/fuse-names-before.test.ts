/** What is looked at before a rename while a tree is being recorded: in one turn, whatever the disk says. */
import { expect, test } from 'vitest';
import { fsError } from '../../src/fs/base/errors.ts';
import type { FileSystem } from '../../src/fs/base/filesystem.ts';
import { NamesBefore } from '../../src/fuse/names-before.ts';
import type { FuseRequest } from '../../src/fuse/request.ts';
import type { TreeWalk } from '../../src/fuse/tree-walk.ts';

const ROOT = 1;
const TOLD_FILE = 2;
const NO_NAMES = { name: new Uint8Array(1), newName: new Uint8Array(1), flags: 0 };

/** Looks at the move of a file that is told into a directory. */
function lookedAbove(directory: number, parentOf: (inode: number) => number): NamesBefore {
  const filesystem: Partial<FileSystem> = {
    lookup: (_tx, inode, name) => (name.length === 2 ? parentOf(inode) : TOLD_FILE),
    readAttributes: (_tx, inode, into) => {
      into.inode = inode;
    },
  };
  const walk: Partial<TreeWalk> = { isTold: (inode) => inode === TOLD_FILE };
  const request = { inode: ROOT, names: { ...NO_NAMES, newParent: directory }, conversation: { filesystem } };
  const before = new NamesBefore();
  before.lookAtBoth(request as unknown as FuseRequest, { readOnly: false }, walk as TreeWalk);
  return before;
}

test('directories above are told from the top down', () => {
  const { untold } = lookedAbove(12, (inode) => (inode === 10 ? ROOT : inode - 1));
  expect(untold.map(({ attributes, parent }) => [attributes.inode, parent])).toEqual([
    [10, ROOT],
    [11, 10],
    [12, 11],
  ]);
});

test.each([
  ['in circles', (inode: number) => (inode === 10 ? 11 : 10)],
  ['without end', (inode: number) => inode + 1],
])('directories that lead upwards %s are cut off', (_, parentOf) => {
  const { untold } = lookedAbove(10, parentOf);
  expect(untold).toHaveLength(256);
  expect(untold[0]?.parent).toBe(ROOT);
});

test('one that cannot be read lets the rename go on', () => {
  const { untold } = lookedAbove(12, (inode) => {
    if (inode === 11) throw fsError('EIO');
    return inode - 1;
  });
  expect(untold.map(({ attributes, parent }) => [attributes.inode, parent])).toEqual([[12, ROOT]]);
});
