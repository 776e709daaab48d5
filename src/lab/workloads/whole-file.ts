/** Files that are written from start to end, in the pieces in which a kernel hands them over. */
import type { LabOperation } from '../operation.ts';

/** The longest write of a workload. */
const PIECE_BYTES = 1024 * 1024;

/** A range of a file as writes, and what makes them go out at once. */
export function* writeRange(file: number, offsetBytes: number, lengthBytes: number): Generator<LabOperation> {
  for (let done = 0; done < lengthBytes; done += PIECE_BYTES) {
    const pieceBytes = Math.min(PIECE_BYTES, lengthBytes - done);
    yield { kind: 'write', file, offsetBytes: offsetBytes + done, lengthBytes: pieceBytes };
  }
  yield { kind: 'close', file };
}

export function* writeWhole(file: number, directory: number, sizeBytes: number): Generator<LabOperation> {
  yield { kind: 'create', file, directory };
  yield* writeRange(file, 0, sizeBytes);
}
