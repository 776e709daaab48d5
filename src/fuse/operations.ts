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
import { extendedAttributeOperations } from './extended-attribute-operations.ts';
import { type OperationRow, refused } from './handler-parts.ts';
import { ioctlOperations } from './ioctl-operations.ts';
import { nameOperations } from './name-operations.ts';
import { rangeOperations } from './range-operations.ts';
import type { Handler } from './request.ts';
import { sessionOperations } from './session-operations.ts';

const refusedOperations: readonly OperationRow[] = [
  // The kernel has written the pages before it asks; there is nothing more to flush.
  [Opcode.FLUSH, refused('flush', 'ENOSYS')],
  // default_permissions: the kernel checks access by itself.
  [Opcode.ACCESS, refused('access', 'ENOSYS')],

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
  extendedAttributeOperations,
  contentOperations,
  rangeOperations,
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
