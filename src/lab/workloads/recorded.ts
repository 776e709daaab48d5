/** `recorded`: the record of a live mount (src/record), as a workload. */
import { messageOf } from '../../common/thrown.ts';
import { RecordReader } from '../../record/record-reader.ts';
import { RecordKind } from '../../record/recorded-operation.ts';
import type { LabOperation } from '../operation.ts';
import { contentHash } from './content-hash.ts';
import { RecordReplay } from './replay.ts';
import type { Workload, WorkloadPlace } from './workload.ts';
import { WorkloadLoadError } from './workload-load-error.ts';

interface RecordFigures {
  /** What existed at the beginning, in bytes. */
  existingBytes: number;
  /** Written when all of that was told. */
  churnBytes: number;
  operations: number;
}

/** @throws WorkloadLoadError */
export async function loadRecorded(path: string): Promise<Workload> {
  try {
    const reader = new RecordReader(path);
    try {
      const figures = figuresOf(reader);
      const { began, volumeBytes } = reader.description;
      return {
        name: path,
        says: `what a mount did from ${began} on: ${figures.operations} operations`,
        source: path,
        content: await contentHash(path),
        sizeBytes: volumeBytes,
        churnBytes: figures.churnBytes,
        ...(reader.isWhole ? {} : { remark: `${path} was not ended in order: what is whole of it counts` }),
        operations: (place) => replay(path, place, figures),
      };
    } finally {
      reader.close();
    }
  } catch (thrown) {
    throw new WorkloadLoadError(messageOf(thrown));
  }
}

/** Reads all of it once. */
function figuresOf(reader: RecordReader): RecordFigures {
  const figures: RecordFigures = { existingBytes: 0, churnBytes: 0, operations: 0 };
  let isBegun = false;
  for (const { kind, lengthBytes } of reader.operations()) {
    if (kind === RecordKind.begun) isBegun = true;
    else if (kind === RecordKind.existing) figures.existingBytes += lengthBytes;
    else figures.operations++;
    if (kind === RecordKind.write && isBegun) figures.churnBytes += lengthBytes;
  }
  return figures;
}

function* replay(
  path: string,
  { capacityBytes }: WorkloadPlace,
  { existingBytes }: RecordFigures,
): Generator<LabOperation | 'filled'> {
  if (existingBytes > capacityBytes) {
    const needed = Math.ceil(existingBytes / 2 ** 20);
    throw new WorkloadLoadError(
      `${path}: what existed when it began takes ${needed} MiB: give a larger --size`,
    );
  }
  const reader = new RecordReader(path);
  try {
    const performing = new RecordReplay(reader.description.blockBytes);
    let isFilled = false;
    for (const operation of reader.operations()) {
      isFilled ||= operation.kind === RecordKind.begun;
      yield* performing.perform(operation);
    }
    // It was cut off before all was told.
    if (!isFilled) yield 'filled';
  } finally {
    reader.close();
  }
}
