/**
 * What Quarry does with each opcode: the table.
 *
 * A row is the whole truth of its opcode: how long its arguments are at least, how they are read,
 * how the work begins, what a metadata operation does in its transaction, what it changes, how the
 * answer is built and sent, and what follows from it. The rows stand with their functions, by
 * family.
 *
 * The server keeps no open-file state: file handles are always 0, and a node id is an inode number.
 */
import { OPCODE_LIMIT, Opcode } from './abi.ts';
import { attributeOperations } from './attribute-operations.ts';
import { bmapOperations } from './bmap-operation.ts';
import { contentOperations } from './content-operations.ts';
import { type OperationRow, refused } from './handler-parts.ts';
import { ioctlOperations } from './ioctl-operations.ts';
import { nameOperations } from './name-operations.ts';
import type { Handler } from './request.ts';
import { sessionOperations } from './session-operations.ts';

const refusedOperations: readonly OperationRow[] = [
  // The kernel has written the pages before it asks; there is nothing more to flush.
  [Opcode.FLUSH, refused('flush', 'ENOSYS')],
  // default_permissions: the kernel checks access by itself.
  [Opcode.ACCESS, refused('access', 'ENOSYS')],

  // Not yet: the kernel remembers ENOSYS, and falls back where it can (lseek, copy) or says
  // EOPNOTSUPP.
  [Opcode.SETXATTR, refused('setxattr', 'ENOSYS', { changes: 'others' })],
  [Opcode.GETXATTR, refused('getxattr', 'ENOSYS')],
  [Opcode.LISTXATTR, refused('listxattr', 'ENOSYS')],
  [Opcode.REMOVEXATTR, refused('removexattr', 'ENOSYS', { changes: 'others' })],
  [Opcode.FALLOCATE, refused('fallocate', 'ENOSYS', { changes: 'others' })],
  [Opcode.LSEEK, refused('lseek', 'ENOSYS')],
  [Opcode.COPY_FILE_RANGE, refused('copy-file-range', 'ENOSYS', { changes: 'others' })],
  [Opcode.COPY_FILE_RANGE_64, refused('copy-file-range-64', 'ENOSYS', { changes: 'others' })],
  // Never: locks are the kernel's own.
  [Opcode.GETLK, refused('getlk', 'ENOSYS')],
  [Opcode.SETLK, refused('setlk', 'ENOSYS')],
  [Opcode.SETLKW, refused('setlkw', 'ENOSYS')],
  [Opcode.POLL, refused('poll', 'ENOSYS')],
  [Opcode.SETUPMAPPING, refused('setupmapping', 'ENOSYS')],
  [Opcode.REMOVEMAPPING, refused('removemapping', 'ENOSYS')],
];

/** For opcodes that this version does not know. */
export const unknownOperation: Handler = refused('unknown', 'ENOSYS');

const families = [
  sessionOperations,
  nameOperations,
  attributeOperations,
  contentOperations,
  ioctlOperations,
  bmapOperations,
  refusedOperations,
];
const byOpcode: Handler[] = new Array<Handler>(OPCODE_LIMIT).fill(unknownOperation);
for (const [opcode, handler] of families.flat()) byOpcode[opcode] = handler;

/** The row of an opcode. */
export function handlerOf(opcode: number): Handler {
  return byOpcode[opcode] ?? unknownOperation;
}
