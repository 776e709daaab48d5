/**
 * Bytes of blocks that become zeros where they are: for whoever holds the lock of their range.
 *
 * The zeros are in the device's cache when this resolves, and a commit from then on flushes them
 * before it counts.
 */
import { PromisedCompletion } from '../../aio/device.ts';
import { fsErrorFromNumber } from '../base/errors.ts';
import type { BlockNumber } from '../base/numbers.ts';
import type { WriteContext } from './write-plan.ts';

/** Bytes [from, to) of one block. @throws FsError of the device */
export async function zeroInBlock(
  context: WriteContext,
  block: BlockNumber,
  from: number,
  to: number,
): Promise<void> {
  const { device, blockBytes, scratch } = context;
  const { sectorBytes } = device;
  const start = Math.floor(from / sectorBytes) * sectorBytes;
  const end = Math.ceil(to / sectorBytes) * sectorBytes;
  const memory = scratch.take();
  try {
    const at = block * blockBytes + start;
    if (start < from || to < end)
      await transfer(context, (done) => device.read(memory, 0, end - start, at, done));
    memory.bytes.fill(0, from - start, to - start);
    await transfer(context, (done) => device.write(memory, 0, end - start, at, done));
    context.dataWritten();
  } finally {
    scratch.give(memory);
  }
}

/** Blocks on the device that lie together. @throws FsError of the device */
export async function zeroBlocks(context: WriteContext, block: BlockNumber, length: number): Promise<void> {
  const { device, blockBytes, early, scratch } = context;
  const fromEarly = early.takeBuffer();
  const memory = fromEarly ?? scratch.take();
  try {
    const most = Math.floor(memory.bytes.length / blockBytes) * blockBytes;
    memory.bytes.fill(0, 0, most);
    const end = (block + length) * blockBytes;
    for (let at = block * blockBytes; at < end; at += most) {
      const lengthBytes = Math.min(most, end - at);
      await transfer(context, (done) => device.write(memory, 0, lengthBytes, at, done));
    }
    context.dataWritten();
  } finally {
    if (fromEarly) early.giveBuffer(fromEarly);
    else scratch.give(memory);
  }
  device.submit();
}

async function transfer(
  { device, epochs }: WriteContext,
  begin: (completion: PromisedCompletion) => void,
): Promise<void> {
  const completion = new PromisedCompletion();
  const epoch = epochs.enter();
  begin(completion);
  device.submit();
  const errno = await completion.promise;
  epochs.leave(epoch);
  if (errno !== 0) throw fsErrorFromNumber(errno);
}
