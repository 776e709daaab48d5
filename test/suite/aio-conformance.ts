/**
 * The conformance suite of asynchronous files: one table of cases, run for each engine on each kind
 * of target.
 *
 * A case is a name and a function of a `Place`. What an engine or a target cannot do is no reason
 * to leave a case out: the case says which error is the documented one. `aio-conformance-*.test.ts`
 * run the table, one test file for each kind of target.
 */
import { describe, test } from 'vitest';
import { appendCases } from './aio-conformance-append.ts';
import { lockCases } from './aio-conformance-locks.ts';
import { openingCases } from './aio-conformance-opening.ts';
import { readCases } from './aio-conformance-reads.ts';
import { requestCases } from './aio-conformance-requests.ts';
import { sizeCases } from './aio-conformance-sizes.ts';
import { streamCases } from './aio-conformance-streams.ts';
import {
  ENGINES,
  NO_LOOP_DEVICES,
  type Place,
  type TargetMaker,
  undoAfterAll,
} from './aio-conformance-targets.ts';
import { transferCases } from './aio-conformance-transfers.ts';
import { writeCases } from './aio-conformance-writes.ts';

/**
 * What an engine must do, by name. A case gets a target with known content, and files it opens
 * there are closed after it.
 */
export type Cases = Readonly<Record<string, (place: Place) => Promise<void>>>;

const TABLE: Readonly<Record<string, Cases>> = {
  opening: openingCases,
  reading: readCases,
  writing: writeCases,
  'position, length and sync': sizeCases,
  appending: appendCases,
  locks: lockCases,
  requests: requestCases,
  'memory that goes away': transferCases,
  'chunks and streams': streamCases,
};

/** Declares the tests of all engines on one kind of target. */
export function describeConformance(maker: TargetMaker): void {
  undoAfterAll();
  describe.skipIf(maker.kind === 'loop device' && NO_LOOP_DEVICES).each(ENGINES)('%s', (engine) => {
    describe.each(Object.entries(TABLE))('%s', (_, cases) => {
      test.each(Object.entries(cases))('%s', { timeout: 20_000 }, async (_name, run) => {
        const place = maker.place(engine);
        try {
          await run(place);
        } finally {
          await place.closeAll();
        }
      });
    });
  });
}
