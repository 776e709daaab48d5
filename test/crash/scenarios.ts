/**
 * Short workloads made on purpose: each brings about the one situation that a rule of the journal
 * is there for. They run on a device that keeps the order of requests, and on ones that do not.
 */
import { QuotaKind } from '../../src/fs/format/format.ts';
import { prepare } from './operations.ts';
import type { Recorder } from './recorder.ts';

export interface Scenario {
  readonly name: string;
  readonly journalBlocks: number;
  /** Begin with a journal so full that the next commit takes a checkpoint with it. */
  readonly halfFull: boolean;
  /** The device is told of what commits free. */
  readonly discard: boolean;
  run(recorder: Recorder): Promise<void>;
}

const SMALL_JOURNAL = 64;
/** So large that no checkpoint is due. */
const LARGE_JOURNAL = 256;
const LONG_NAMES = ['/l1', '/l2', '/l3', '/l4'];

function scenario(name: string, journalBlocks: number, halfFull: boolean, run: Scenario['run']): Scenario {
  return { name, journalBlocks, halfFull, discard: false, run };
}

/** Files lose their blocks, and others get new ones, while discards are under way. */
function discarding(delay: number): Scenario {
  const run = async (recorder: Recorder) => {
    const { blockBytes } = recorder.volume;
    await recorder.symlink('t'.repeat(1500), '/long');
    await recorder.write('/B/foo', 0, 7 * blockBytes);
    await recorder.sync();
    await Promise.all([recorder.unlink('/long'), recorder.unlink('/B/foo')]);
    await recorder.sync();
    await turns(delay);
    // More than was free before.
    await recorder.write('/A/foo', 0, 8 * blockBytes);
    await recorder.truncate('/foo', 0);
    await recorder.sync();
  };
  return { ...scenario(`discard-${delay}`, SMALL_JOURNAL, false, run), discard: true };
}

/**
 * Blocks of long symlinks are freed, and get data: first those that are in the journal, or on their
 * way home.
 */
async function metadataBecomesData(recorder: Recorder): Promise<void> {
  for (const path of LONG_NAMES) await recorder.symlink('t'.repeat(1500), path);
  await recorder.sync();
  for (const path of LONG_NAMES) await recorder.unlink(path);
  await recorder.sync();
  await recorder.write('/A/foo', 0, 9 * recorder.volume.blockBytes);
  await recorder.sync();
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

/** What is being discarded is wanted, and what is freed meanwhile as well. */
async function trimBesideWrites(recorder: Recorder): Promise<void> {
  const { blockBytes } = recorder.volume;
  await recorder.unlink('/filler');
  const trimmed = recorder.trim();
  for (const [at, path] of ['/A/foo', '/B/foo', '/foo'].entries()) {
    await turns(20 * at);
    await recorder.write(path, 12 * blockBytes, 9 * blockBytes);
    await recorder.sync();
  }
  await Promise.all([trimmed, recorder.unlink('/B/foo')]);
  await recorder.trim();
  await recorder.sync();
}

/** A file in many pieces is cut off, and a commit comes in the midst of it. */
async function truncateInSteps(recorder: Recorder, delay: number): Promise<void> {
  const { blockBytes } = recorder.volume;
  await recorder.unlink('/filler');
  await recorder.create('/pieces');
  for (let i = 0; i < 24; i++) await recorder.write('/pieces', 2 * i * blockBytes, blockBytes);
  await recorder.sync();
  const truncated = recorder.truncate('/pieces', 10);
  await turns(delay);
  await Promise.all([truncated, recorder.sync()]);
}

/** A file in many pieces loses a range, or gets one, and a commit comes in the midst of it. */
async function shiftInSteps(recorder: Recorder, action: 'collapse' | 'insert', delay: number): Promise<void> {
  const { blockBytes } = recorder.volume;
  await recorder.unlink('/filler');
  await recorder.create('/pieces');
  for (let i = 0; i < 24; i++) await recorder.write('/pieces', 2 * i * blockBytes, blockBytes);
  await recorder.sync();
  const shifted = recorder.shift('/pieces', action, 3 * blockBytes, 2 * blockBytes);
  await turns(delay);
  await Promise.all([shifted, recorder.sync()]);
  await recorder.sync();
}

/** A file is copied to one that nobody waits for, and both become others at once. */
async function copyThenChange(recorder: Recorder): Promise<void> {
  const { blockBytes } = recorder.volume;
  const whole = { path: '/B/foo', offsetBytes: 0, lengthBytes: 6 * blockBytes };
  await recorder.copy(whole, '/A/foo', 0);
  await Promise.all([recorder.unlink('/B/foo'), recorder.sync()]);
  await recorder.copy({ path: '/A/foo', offsetBytes: 30, lengthBytes: 900 }, '/A/foo', 7 * blockBytes);
  await recorder.write('/foo', 0, 3 * blockBytes);
  await recorder.sync();
}

/** Two files that grew in turn go to places of their own, one of them while it is written to. */
async function defragment(recorder: Recorder, delay: number): Promise<void> {
  const { blockBytes } = recorder.volume;
  await recorder.unlink('/filler');
  await recorder.create('/one');
  await recorder.create('/two');
  for (let i = 0; i < 12; i++)
    for (const path of ['/one', '/two']) await recorder.write(path, i * blockBytes, blockBytes);
  await recorder.sync();
  const moved = recorder.defragment('/one');
  await turns(delay);
  await Promise.all([
    recorder.write('/one', 5 * blockBytes + 100, 2 * blockBytes, { early: delay % 2 === 0 }),
    recorder.sync(),
    moved,
  ]);
  const movedToo = recorder.defragment('/two');
  await turns(delay);
  await Promise.all([recorder.truncate('/two', 7 * blockBytes - 9), recorder.sync(), movedToo]);
  // What is free by now is used again.
  await recorder.write('/A/foo', 0, 20 * blockBytes);
  await recorder.sync();
  await recorder.defragment('/two');
  await recorder.sync();
}

/** Everybody's usage is counted, his limits are set, other kinds are counted, and none. */
async function countUsage(recorder: Recorder): Promise<void> {
  await recorder.truncate('/filler', 0);
  await recorder.sync();
  for (let i = 0; i < 16; i++) {
    await recorder.create(`/${i}`);
    await recorder.give(`/${i}`, 7919 * i);
  }
  await recorder.countUsage([QuotaKind.user, QuotaKind.group]);
  await recorder.limit(7, 100);
  for (let i = 0; i < 6; i++) await recorder.give(`/${i}`, i);
  await recorder.write('/3', 0, 9000);
  await recorder.unlink('/4');
  await recorder.sync();
  await recorder.countUsage([QuotaKind.project, QuotaKind.user]);
  await recorder.unlink('/3');
  await recorder.countUsage([]);
}

/** The model has no times: what a sync of data alone may leave out, nobody sees here. */
async function syncDataAlone(recorder: Recorder): Promise<void> {
  const { blockBytes } = recorder.volume;
  await recorder.write('/foo', 0, 900);
  await recorder.sync(true);
  await recorder.write('/foo', 300, 500, { early: true });
  await recorder.sync(true);
  await recorder.write('/foo', 0, 5 * blockBytes);
  await recorder.sync(true);
  await recorder.create('/new');
  await recorder.write('/foo', blockBytes, 700, { keepTimes: true });
  await recorder.sync(true);
  await recorder.rename('/new', '/newer');
  const committed = recorder.sync();
  await turns(3);
  await recorder.create('/later');
  await committed;
  await recorder.write('/foo', 2 * blockBytes, blockBytes);
  await recorder.sync(true);
  await recorder.write('/foo', 0, 300);
  await Promise.all([recorder.sync(true), recorder.write('/foo', 400, 300), recorder.sync(true)]);
  await recorder.sync(true);
  await recorder.create('/last');
  const underWay = recorder.sync();
  await turns(3);
  await recorder.sync(true);
  await underWay;
}

export const SCENARIOS: readonly Scenario[] = [
  scenario('metadata-becomes-data', LARGE_JOURNAL, false, metadataBecomesData),
  scenario('metadata-on-its-way-home-becomes-data', SMALL_JOURNAL, true, metadataBecomesData),
  ...[3, 6].map((delay) =>
    scenario(`freed-is-wanted-at-once-${delay}`, LARGE_JOURNAL, false, async (recorder) => {
      await recorder.unlink('/foo');
      const synced = recorder.sync();
      await turns(delay);
      await recorder.write('/A/foo', 0, 12 * recorder.volume.blockBytes);
      await synced;
      await recorder.sync();
    }),
  ),
  scenario('early-writes-then-sync', LARGE_JOURNAL, false, async (recorder) => {
    const paths = ['/foo', '/A/foo', '/B/foo'];
    const writes = paths.map((path) => recorder.write(path, 50, 1500, { early: true }));
    await Promise.all([...writes, recorder.sync()]);
    await recorder.write('/foo', 100, 1024, { keepTimes: true });
    await recorder.sync();
  }),
  scenario('many-writes-and-sync', LARGE_JOURNAL, false, async (recorder) => {
    const writes = [1, 2, 3, 4, 5].map((i) => recorder.write('/filler', i * 9000, 5000));
    writes.push(recorder.write('/A/foo', 0, 3000), recorder.write('/B/foo', 1024, 2048));
    for (let i = 0; i < 6; i++) {
      await turns(3);
      await recorder.sync();
    }
    await Promise.all(writes);
  }),
  scenario('held-while-unlinked', LARGE_JOURNAL, false, async (recorder) => {
    await recorder.unlinkHeld('/foo');
    await recorder.unlinkHeld('/A/foo');
    await recorder.sync();
  }),
  ...[0, 1].map((delay) =>
    scenario(`truncated-in-steps-${delay}`, SMALL_JOURNAL, false, (recorder) =>
      truncateInSteps(recorder, delay),
    ),
  ),
  scenario('round-the-log', SMALL_JOURNAL, false, async (recorder) => {
    for (let i = 0; i < 24; i++) {
      await recorder.rename(i % 2 === 0 ? '/foo' : '/A/bar', i % 2 === 0 ? '/A/bar' : '/foo');
      await recorder.sync();
    }
  }),
  scenario('shrink-and-grow', LARGE_JOURNAL, false, async (recorder) => {
    await recorder.truncate('/foo', 300);
    await recorder.truncate('/foo', 2500);
    await recorder.sync();
  }),
  ...[0, 3, 8, 15].map((delay) =>
    scenario(`defragment-${delay}`, delay === 3 ? SMALL_JOURNAL : LARGE_JOURNAL, false, (recorder) =>
      defragment(recorder, delay),
    ),
  ),
  ...[0, 6].map(discarding),
  scenario('trim-beside-writes', SMALL_JOURNAL, false, trimBesideWrites),
  ...(['collapse', 'insert'] as const).flatMap((action) =>
    [0, 9].map((delay) =>
      scenario(`${action}-in-steps-${delay}`, SMALL_JOURNAL, false, (recorder) =>
        shiftInSteps(recorder, action, delay),
      ),
    ),
  ),
  scenario('copy-then-change', LARGE_JOURNAL, false, copyThenChange),
  scenario('usage-is-counted', SMALL_JOURNAL, false, countUsage),
  scenario('data-alone', LARGE_JOURNAL, false, syncDataAlone),
];

/** Runs it. @returns where in the device log it began */
export async function runScenario({ halfFull, run }: Scenario, recorder: Recorder): Promise<number> {
  await prepare(recorder, halfFull);
  const from = recorder.device.log.length;
  await run(recorder);
  await recorder.unmount();
  return from;
}
