/**
 * BMAP: where a block of a file lies, for FIBMAP. The kernel asks on block devices only.
 *
 * The answer is good until the file is written to, cut off or moved (`quarry defrag`). So nobody
 * may keep it for whom it decides where bytes go, as swapon(2) does: that one finds a file of holes
 * only, and refuses it. Whoever is known to ask by ioctl(2) gets the truth, who cannot be looked at
 * does not.
 */
import { fsError } from '../fs/base/errors.ts';
import type { TransactionHandle } from '../fs/base/filesystem.ts';
import { BmapIn, BmapOut, exact, Opcode } from './abi.ts';
import { systemCallOf } from './calling-thread.ts';
import { metadata, type OperationRow } from './handler-parts.ts';
import type { FuseRequest } from './request.ts';

/** Numbers of ioctl(2): asm/unistd_64.h, asm-generic/unistd.h. */
const IOCTL_NUMBERS: Partial<Record<string, number>> = { x64: 16, arm64: 29 };

function decodeBmap({ wire, bodyAt, transfer, callerPid, conversation }: FuseRequest): void {
  if (conversation.filesystem.visitExtents === undefined) throw fsError('ENOSYS');
  const call = systemCallOf(callerPid);
  if (call === undefined || call.number !== IOCTL_NUMBERS[process.arch]) throw fsError('EOPNOTSUPP');
  transfer.lengthBytes = BmapIn.blocksize.get(wire.view, bodyAt);
  if (transfer.lengthBytes === 0) throw fsError('EINVAL');
  transfer.offsetBytes = exact(BmapIn.block, wire.view, bodyAt, 'EINVAL') * transfer.lengthBytes;
}

/** 0 for a hole, as FIBMAP has it; for blocks in the kernel's size, which lie as a whole. */
function performBmap({ conversation, inode, transfer }: FuseRequest, tx: TransactionHandle): void {
  const { filesystem } = conversation;
  const { blockBytes } = filesystem;
  const { offsetBytes: from, lengthBytes } = transfer;
  transfer.resultOffset = 0;
  const visit = (fileBlock: number, block: number, length: number, unwritten: boolean): false => {
    const skipped = from - fileBlock * blockBytes;
    const at = block * blockBytes + skipped;
    const isWhole = skipped >= 0 && skipped + lengthBytes <= length * blockBytes;
    if (!unwritten && isWhole && at % lengthBytes === 0) transfer.resultOffset = at / lengthBytes;
    return false;
  };
  filesystem.visitExtents?.(tx, inode, visit, Math.floor(from / blockBytes));
}

function answerBmap(request: FuseRequest): void {
  BmapOut.block.set(request.wire.view, request.answerAt, request.transfer.resultOffset);
  request.answerShort(BmapOut.sizeBytes);
}

export const bmapOperations: readonly OperationRow[] = [
  [
    Opcode.BMAP,
    metadata('bmap', {
      bodyBytes: BmapIn.sizeBytes,
      decode: decodeBmap,
      perform: performBmap,
      answer: answerBmap,
    }),
  ],
];
