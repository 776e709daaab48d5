/**
 * Asynchronous files do what a model does: random operations, many in flight, with faults below the
 * engine.
 *
 * A failure is shrunk and printed with its seed and path; `AIO_MODEL_SEED=… npx vitest run
 * test/suite/aio-model.test.ts` repeats it. `AIO_MODEL_RUNS` asks for more.
 */
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { FileGroup } from '../../src/aio/file/file-group.ts';
import { openFile, openFileIn } from '../../src/aio/file/open-file.ts';
import { DIRECT_ENGINES, ENGINES, pattern, temporaryFile, undoAfterAll } from './aio-conformance-targets.ts';
import { faultyLeases } from './aio-faulty-queue.ts';
import { batches, FileModel, faultsOf, type ModelBatch } from './aio-model.ts';

const SEED = Number(process.env.AIO_MODEL_SEED ?? 20_261_122);
const RUNS = Number(process.env.AIO_MODEL_RUNS ?? 25);
const FIRST_BYTES = 20_000;

undoAfterAll();

describe.each(ENGINES)('%s', (engine) => {
  const path = temporaryFile(0);
  const unit = DIRECT_ENGINES.includes(engine) ? 4096 : 1;

  async function runOn(batchList: readonly ModelBatch[], queueDepth: number, faults: number | undefined) {
    const options = { engine, flags: 'w+', queueDepth };
    const file =
      faults === undefined
        ? await openFile(path, options)
        : await openFileIn(new FileGroup(faultyLeases(faultsOf(faults, unit)).lease), path, options);
    try {
      if (faults === undefined) await file.writeAt(pattern(FIRST_BYTES), 0);
      const model = new FileModel(file, path);
      for (const batch of batchList) await model.run(batch);
    } finally {
      await file.close();
    }
  }

  test('with a kernel that does its best', () =>
    fc.assert(
      fc.asyncProperty(batches, fc.integer({ min: 1, max: 32 }), (list, depth) =>
        runOn(list, depth, undefined),
      ),
      { seed: SEED, numRuns: RUNS },
    ));

  test('with a kernel that stops early, waits, and fails', () =>
    fc.assert(fc.asyncProperty(batches, fc.integer({ min: 1, max: 32 }), fc.nat(), runOn), {
      seed: SEED + 1,
      numRuns: RUNS,
    }));
});
