/**
 * Operations on ranges of a file: FALLOCATE, LSEEK, and copies from file to file.
 *
 * Before a range is punched, zeroed or copied the kernel has written its pages, and drops them
 * afterwards; it holds the inode meanwhile. With the writeback cache times are its own. Set-user-id
 * bits it leaves to us, and says nothing in these requests of whether the caller may keep them: who
 * is not root may not. Before that it has asked by a SETATTR of nothing what will be left.
 *
 * A copy of the long kind has an answer of 64 bits; it is the same otherwise. Holes of the source
 * count in it, so one call may go far.
 */
import { fsError } from '../fs/base/errors.ts';
import type { FallocateAction } from '../fs/base/filesystem.ts';
import {
  CopyFileRangeIn,
  CopyFileRangeOut,
  exact,
  FallocateFlag,
  FallocateIn,
  InitFlag,
  LseekIn,
  LseekOut,
  Opcode,
  SeekWhence,
  WriteOut,
} from './abi.ts';
import { endAfter, type OperationRow, row } from './handler-parts.ts';
import { agreedOn } from './negotiation.ts';
import type { FuseRequest } from './request.ts';
import { seekWithCaches } from './seeking.ts';

/** What a copy of the short kind can answer; no call goes so far. */
const MOST_REQUEST_BYTES = 2 ** 31 - 4096;

const { KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE } = FallocateFlag;

/** What the kernel asks for; it lets nothing else pass. */
const ACTIONS: ReadonlyMap<number, FallocateAction> = new Map([
  [0, 'allocate'],
  [KEEP_SIZE, 'allocate'],
  [PUNCH_HOLE | KEEP_SIZE, 'punch'],
  [ZERO_RANGE, 'zero'],
  [ZERO_RANGE | KEEP_SIZE, 'zero'],
]);

function keepsTimes({ conversation: { agreement } }: FuseRequest): boolean {
  return agreement !== undefined && agreedOn(agreement, InitFlag.WRITEBACK_CACHE);
}

function decodeFallocate(request: FuseRequest): void {
  const { wire, bodyAt, inode } = request;
  const { fallocate } = request.ranges;
  const mode = FallocateIn.mode.get(wire.view, bodyAt);
  const action = ACTIONS.get(mode);
  if (action === undefined) throw fsError('EOPNOTSUPP');
  fallocate.inode = inode;
  fallocate.action = action;
  fallocate.offsetBytes = exact(FallocateIn.offset, wire.view, bodyAt, 'EFBIG');
  fallocate.lengthBytes = exact(FallocateIn.length, wire.view, bodyAt, 'EFBIG');
  fallocate.keepSize = (mode & KEEP_SIZE) !== 0;
  fallocate.updateTimes = !keepsTimes(request);
}

function beginFallocate(request: FuseRequest): void {
  const { conversation, ranges } = request;
  const { filesystem, scarceSpace } = conversation;
  const { fallocate } = ranges;
  const takes = fallocate.action !== 'punch' && conversation.writebackCache;
  const allocate = () => filesystem.fallocate(fallocate);
  if (!takes) endAfter(request, allocate());
  else if (conversation.mayWait(request))
    endAfter(request, scarceSpace.whileTaking(fallocate.lengthBytes, allocate));
}

function spaceTaken({ conversation }: FuseRequest): void {
  conversation.dirtyLimits?.written();
  conversation.scarceSpace.look();
}

function decodeLseek({ wire, bodyAt, ranges }: FuseRequest): void {
  const whence = LseekIn.whence.get(wire.view, bodyAt);
  if (whence !== SeekWhence.DATA && whence !== SeekWhence.HOLE) throw fsError('EINVAL');
  ranges.target = whence === SeekWhence.DATA ? 'data' : 'hole';
  ranges.offsetBytes = exact(LseekIn.offset, wire.view, bodyAt, 'ENXIO');
}

function beginLseek(request: FuseRequest): void {
  const { conversation, inode, ranges } = request;
  if (!conversation.mayWait(request)) return;
  const found = seekWithCaches(conversation, inode, ranges.offsetBytes, ranges.target);
  endAfter(request, takeResult(request, found));
}

async function takeResult({ ranges }: FuseRequest, result: Promise<number>): Promise<void> {
  ranges.result = await result;
}

function answerLseek(request: FuseRequest): void {
  LseekOut.offset.set(request.wire.view, request.answerAt, request.ranges.result);
  request.answerShort(LseekOut.sizeBytes);
}

function decodeCopy(request: FuseRequest): void {
  const { wire, bodyAt, inode, ranges } = request;
  const { copy } = ranges;
  if (CopyFileRangeIn.flags.get(wire.view, bodyAt) !== 0) throw fsError('EINVAL');
  copy.from = inode;
  copy.fromBytes = exact(CopyFileRangeIn.off_in, wire.view, bodyAt, 'EOVERFLOW');
  copy.to = exact(CopyFileRangeIn.nodeid_out, wire.view, bodyAt, 'ESTALE');
  copy.toBytes = exact(CopyFileRangeIn.off_out, wire.view, bodyAt, 'EFBIG');
  copy.lengthBytes = Math.min(CopyFileRangeIn.len.get(wire.view, bodyAt), MOST_REQUEST_BYTES);
  copy.updateTimes = !keepsTimes(request);
  copy.begin();
  // The one that changes: with -o sync it is what has to be on disk.
  request.inode = copy.to;
}

function beginCopy(request: FuseRequest): void {
  const { conversation, ranges } = request;
  const { filesystem, scarceSpace } = conversation;
  const copyRange = () => filesystem.copyRange(ranges.copy);
  if (!conversation.writebackCache) endAfter(request, takeResult(request, copyRange()));
  else if (conversation.mayWait(request))
    endAfter(request, takeResult(request, scarceSpace.whileTaking(ranges.copy.lengthBytes, copyRange)));
}

function answerCopy(request: FuseRequest): void {
  WriteOut.size.set(request.wire.view, request.answerAt, request.ranges.result);
  WriteOut.padding.set(request.wire.view, request.answerAt, 0);
  request.answerShort(WriteOut.sizeBytes);
}

function answerLongCopy(request: FuseRequest): void {
  CopyFileRangeOut.bytes_copied.set(request.wire.view, request.answerAt, request.ranges.result);
  request.answerShort(CopyFileRangeOut.sizeBytes);
}

const copy = {
  changes: 'others',
  bodyBytes: CopyFileRangeIn.sizeBytes,
  decode: decodeCopy,
  begin: beginCopy,
  over: spaceTaken,
} as const;

export const rangeOperations: readonly OperationRow[] = [
  [
    Opcode.FALLOCATE,
    row('fallocate', {
      changes: 'others',
      bodyBytes: FallocateIn.sizeBytes,
      decode: decodeFallocate,
      begin: beginFallocate,
      over: spaceTaken,
    }),
  ],
  [
    Opcode.LSEEK,
    row('lseek', {
      bodyBytes: LseekIn.sizeBytes,
      decode: decodeLseek,
      begin: beginLseek,
      answer: answerLseek,
    }),
  ],
  [Opcode.COPY_FILE_RANGE, row('copy-file-range', { ...copy, answer: answerCopy })],
  [Opcode.COPY_FILE_RANGE_64, row('copy-file-range-64', { ...copy, answer: answerLongCopy })],
];
