/**
 * Ranges of a file that become zeros without being written: holes, or unwritten extents.
 *
 *   edges    what covers a block in part is written with zeros where it is, as an overwrite
 *   blocks   whole ones are given back, or called unwritten, in transactions of bounded size
 *
 * A block that the file ends in counts as covered up to its end where the range goes so far. Each
 * step leaves the file whole, so a crash may leave some of the range as it was. Under a lock of the
 * range: nobody changes the map of it meanwhile.
 */
import type { FallocateRequest, Operation } from '../base/filesystem.ts';
import type { BlockNumber, FileBlock, FileSpan } from '../base/numbers.ts';
import { transact } from '../transaction/operation-runner.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { type InodeRef, inlineBytes, isInline, requireRegular, sizeOf } from '../tree/inode.ts';
import { inSteps } from './steps.ts';
import type { WriteContext } from './write-plan.ts';
import { zeroInBlock } from './zeroing.ts';

/** Part of a block, in bytes of the file. */
interface Edge {
  readonly from: number;
  readonly to: number;
}

/** What of a range is whole blocks, and what is not. */
interface Parts extends FileSpan {
  readonly edges: readonly Edge[];
}

/** @param size of the file, in bytes */
export function partsOf(offsetBytes: number, endByte: number, size: number, blockBytes: number): Parts {
  const first = Math.ceil(offsetBytes / blockBytes);
  const reached = endByte >= size ? Math.ceil(size / blockBytes) : 0;
  const end = Math.max(Math.floor(endByte / blockBytes), reached);
  const headEnd = Math.min(first * blockBytes, endByte);
  const edges = [
    { from: offsetBytes, to: Math.min(headEnd, size) },
    { from: Math.max(end * blockBytes, headEnd), to: Math.min(endByte, size) },
  ].filter(({ from, to }) => from < to);
  return { first, end, edges };
}

/** Gives the blocks of a range back, from the end down. */
class PunchSteps implements Operation<Transaction> {
  readonly givesBack = true;
  #complete = false;

  constructor(
    readonly context: WriteContext,
    readonly inode: number,
    readonly parts: Parts,
    readonly done: (thrown: unknown) => void,
  ) {
    context.freeing.begin();
  }

  perform(tx: Transaction): void {
    if (tx.readOnly) throw tx.refusal();
    const { extents, table, extentsPerStep } = this.context;
    this.#complete = extents.punch(tx, table.get(tx, this.inode), this.parts, extentsPerStep);
  }

  finished(thrown: unknown): void {
    const { runner, freeing } = this.context;
    if (thrown === undefined && !this.#complete) {
      runner.executeInLine(this);
      freeing.stepped();
      return;
    }
    freeing.end();
    this.done(thrown);
  }
}

export class Clearing {
  constructor(
    readonly context: WriteContext,
    readonly request: FallocateRequest,
  ) {}

  /** Makes a hole. @throws FsError ENOSPC (for a node of the tree), EISDIR, EINVAL, EROFS, EIO */
  async punch(): Promise<void> {
    const { context, request } = this;
    const parts = await this.#begin();
    if (parts === undefined || parts.first >= parts.end) return;
    await new Promise<void>((resolve, reject) => {
      const done = (thrown: unknown) => (thrown === undefined ? resolve() : reject(thrown));
      context.runner.executeInLine(new PunchSteps(context, request.inode, parts, done));
      context.device.submit();
    });
    context.spaceChanged(request.inode);
  }

  /** Calls the blocks that the range has unwritten. @throws as `punch` */
  async unwrite(): Promise<void> {
    const { context, request } = this;
    const parts = await this.#begin();
    if (parts === undefined) return;
    await inSteps(context, parts, (tx, first) => {
      if (tx.readOnly) throw tx.refusal();
      const inode = context.table.get(tx, request.inode);
      return context.extents.unwrite(tx, inode, { first, end: parts.end }, context.extentsPerStep);
    });
  }

  /** Does the edges, or all that the inode holds itself. Undefined if nothing is left. */
  async #begin(): Promise<Parts | undefined> {
    const { context, request } = this;
    const { offsetBytes, lengthBytes } = request;
    const parts = await transact(context, (tx) => this.#look(tx));
    for (const edge of parts?.edges ?? []) await this.#zeroEdge(edge);
    context.lost.written(request.inode, offsetBytes, offsetBytes + lengthBytes);
    return parts;
  }

  #look(tx: Transaction): Parts | undefined {
    const { context, request } = this;
    const inode = context.table.get(tx, request.inode);
    requireRegular(inode);
    if (tx.readOnly) throw tx.refusal();
    const endByte = request.offsetBytes + request.lengthBytes;
    if (!isInline(inode)) return partsOf(request.offsetBytes, endByte, sizeOf(inode), context.blockBytes);
    tx.modify(inode.frame);
    inlineBytes(inode).fill(0, request.offsetBytes, endByte);
    return undefined;
  }

  async #zeroEdge({ from, to }: Edge): Promise<void> {
    const { context, request } = this;
    const { blockBytes } = context;
    const fileBlock = Math.floor(from / blockBytes);
    const block = await transact(context, (tx) =>
      dataBlock(context, tx, context.table.get(tx, request.inode), fileBlock),
    );
    const start = fileBlock * blockBytes;
    if (block !== 0) await zeroInBlock(context, block, from - start, to - start);
  }
}

/** The block that holds data of the file; 0 if none does. */
function dataBlock(
  { extents }: WriteContext,
  tx: Transaction,
  inode: InodeRef,
  fileBlock: FileBlock,
): BlockNumber {
  const { block, unwritten } = extents.find(tx, inode, fileBlock);
  return unwritten ? 0 : block;
}
