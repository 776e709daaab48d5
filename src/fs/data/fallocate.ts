/**
 * fallocate(2): what a range of a file is asked to become, and under which lock it does.
 *
 * What the caller's cache holds of the range is the caller's business; writes that were answered
 * early still have the lock of theirs. Times and set-user-id bits change before anything else, as
 * Linux does it (`file_modified`).
 */
import { fsError } from '../base/errors.ts';
import type { FallocateRequest } from '../base/filesystem.ts';
import { MAX_FILE_BYTES } from '../format/format.ts';
import { requireChangeable, requireMutable } from '../inodes/file-flags.ts';
import { transact } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { dropPrivileges, hasPrivileges, requireRegular, touchModified } from '../tree/inode.ts';
import { Clearing } from './clearing.ts';
import { withRange, withWholeFile } from './file-resizer.ts';
import { Preallocation } from './preallocate.ts';
import { Shifting } from './shifting.ts';
import type { WriteContext } from './write-plan.ts';

/**
 * Which actions need unwritten extents: `allocate` and `zero`.
 * @param mayBeUnwritten the volume has the feature
 * @throws FsError EINVAL, EFBIG, EISDIR, ENOSPC, EROFS, EIO; EPERM by the flags of the inode;
 * EOPNOTSUPP without the feature
 */
export async function fallocate(
  context: WriteContext,
  request: FallocateRequest,
  mayBeUnwritten: boolean,
): Promise<void> {
  const { inode, action, offsetBytes, lengthBytes } = request;
  if (!(offsetBytes >= 0 && lengthBytes > 0)) throw fsError('EINVAL');
  if (offsetBytes + lengthBytes > MAX_FILE_BYTES) throw fsError('EFBIG');
  if (!mayBeUnwritten && (action === 'allocate' || action === 'zero')) throw fsError('EOPNOTSUPP');
  await transact(context, (tx) => touch(context, tx, request));
  const first = Math.floor(offsetBytes / context.blockBytes);
  const end = Math.ceil((offsetBytes + lengthBytes) / context.blockBytes);
  if (action === 'punch')
    return withRange(context, { inode, first, end }, () => new Clearing(context, request).punch());
  if (action === 'collapse' || action === 'insert')
    return withWholeFile(context, inode, () => new Shifting(context, request).run());
  // The space first: where there is none, nothing is cleared.
  return withWholeFile(context, inode, async () => {
    await new Preallocation(context, request).run();
    if (action === 'zero') await new Clearing(context, request).unwrite();
  });
}

function touch({ table, attributes }: WriteContext, tx: Transaction, request: FallocateRequest): void {
  const inode = table.get(tx, request.inode);
  requireRegular(inode);
  if (request.action === 'allocate') requireMutable(inode);
  else requireChangeable(inode);
  if (tx.readOnly) throw tx.refusal();
  attributes.dropCapability(tx, inode);
  // Who asks may cost a look: only where it matters.
  const killsPrivileges = hasPrivileges(inode) && request.killPrivileges;
  if (!request.updateTimes && !killsPrivileges) return;
  tx.modify(inode.frame);
  if (request.updateTimes) touchModified(inode, tx.clock);
  if (killsPrivileges) dropPrivileges(inode);
}
