/**
 * Workloads: what happens before power is cut. Each has a name from which it can be made again.
 *
 *   ace1-I        operation I of the table, then a sync (with a checkpoint, for the journal is half full), then unmounting
 *   ace2-I-P-J    operation I, then nothing, a sync, or a commit in the background (as the timer makes), then operation J, then a sync
 *   rule-N-S      scenario N, on the device with seed S: 0 keeps the order of requests
 *   random-S      a long random mixture from seed S: names, data, syncs, many at once, on one of several shapes of volume
 *
 * `sync` is what fsync, fsyncdir and syncfs are at the volume. fdatasync is the same but for times;
 * a scenario and the random mixtures have it too. What a workload without the last sync may leave
 * is among the states before it.
 */

import type { AllocatorDefinition } from '../../src/alloc/allocator.ts';
import { DEFAULT_ALLOCATOR } from '../../src/alloc/built-in.ts';
import groupAndGoal from '../../src/alloc/group-and-goal.ts';
import { EVENT_LOOP } from '../../src/fs/base/turns.ts';
import { defaultFeatures } from '../../src/fs/format/features.ts';
import { formatVolume } from '../../src/fs/mkfs.ts';
import { openVolume } from '../../src/fs/volume.ts';
import { CrashDisk } from '../../src/sim/crash-disk.ts';
import type { DeviceEvent } from '../../src/sim/crash-image.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { SimulatedDevice } from '../../src/sim/simulated-device.ts';
import { SparseBytes } from '../../src/sim/sparse-bytes.ts';
import { CACHE_BYTES, StoppedClock } from './examine.ts';
import type { Recorded } from './explore.ts';
import { OPERATIONS, prepare } from './operations.ts';
import { poisonedDisk } from './patterns.ts';
import { runRandom } from './random-workload.ts';
import { Recorder, type RecordingDevice } from './recorder.ts';
import { readTree } from './recovered-tree.ts';
import { runScenario, SCENARIOS } from './scenarios.ts';

export interface Shape {
  readonly volumeBytes: number;
  /** What the device has behind the volume, for it to grow. */
  readonly spareBytes: number;
  readonly blockBytes: number;
  readonly journalBlocks: number;
  /** Usage is counted from the start. */
  readonly quota?: boolean;
}

const KIB = 1024;
const ACE_SHAPE: Shape = {
  volumeBytes: 256 * KIB,
  spareBytes: 64 * KIB,
  blockBytes: 1024,
  journalBlocks: 64,
};
/** Small journals wrap often. */
const RANDOM_SHAPES: readonly Shape[] = [
  { volumeBytes: 256 * KIB, spareBytes: 64 * KIB, blockBytes: 1024, journalBlocks: 64 },
  // The second group begins here.
  { volumeBytes: 1024 * KIB, spareBytes: 7168 * KIB, blockBytes: 1024, journalBlocks: 64 },
  { volumeBytes: 2048 * KIB, spareBytes: 300 * KIB, blockBytes: 2048, journalBlocks: 64 },
  { volumeBytes: 3072 * KIB, spareBytes: 64 * KIB, blockBytes: 4096, journalBlocks: 64 },
  { volumeBytes: 2048 * KIB, spareBytes: 0, blockBytes: 1024, journalBlocks: 256 },
];

const BETWEEN = ['none', 'sync', 'background'] as const;
type Between = (typeof BETWEEN)[number];

/** Names of all workloads of one operation. */
export function oneOperation(): string[] {
  return OPERATIONS.map((_, i) => `ace1-${i}`);
}

/** How many workloads of two operations there are; `twoOperations` numbers them. */
export const TWO_OPERATIONS = OPERATIONS.length * BETWEEN.length * OPERATIONS.length;

export function twoOperations(index: number): string {
  const between = BETWEEN[index % BETWEEN.length];
  const pair = Math.floor(index / BETWEEN.length);
  return `ace2-${Math.floor(pair / OPERATIONS.length)}-${between}-${pair % OPERATIONS.length}`;
}

const SCENARIO_SEEDS = 8;

/** Names of all scenarios, on some devices each. */
export function scenarioWorkloads(): string[] {
  return SCENARIOS.flatMap((_, i) =>
    Array.from({ length: SCENARIO_SEEDS }, (_, seed) => `rule-${i}-${seed}`),
  );
}

/** What the workload does, in words. */
export function describeWorkload(name: string): string {
  const [family, ...parts] = name.split('-');
  if (family === 'random') return `random operations from seed ${parts[0]}`;
  if (family === 'rule') return `${SCENARIOS[Number(parts[0])]?.name}, device ${parts[1]}`;
  return parts.map((part) => (/^\d+$/.test(part) ? OPERATIONS[Number(part)]?.name : part)).join(', ');
}

/**
 * Runs the workload.
 * @throws Error if there is none of this name, or the volume disagrees with the model already
 */
export async function record(name: string): Promise<Recorded> {
  const [family, ...parts] = name.split('-');
  if (family === 'random') return recordRandom(Number(parts[0]));
  if (family === 'rule') return recordScenario(name, Number(parts[0]), Number(parts[1]));
  const [first = '', between = 'none', second] = parts;
  const numbers = second === undefined ? [first] : [first, second];
  const operations = numbers.map((number) => OPERATIONS[Number(number)]);
  if (!family?.startsWith('ace') || !operations.every(Boolean)) throw new Error(`no workload ${name}`);
  return recordOn(await formattedDisk(ACE_SHAPE), 0, async (recorder) => {
    await prepare(recorder, second === undefined);
    let from = recorder.device.log.length;
    await operations[0]?.run(recorder);
    await persist(recorder, between as Between);
    // What comes before is the same whatever the second operation is.
    if (between === 'sync' && second !== '0') from = recorder.device.log.length;
    await operations[1]?.run(recorder);
    await recorder.sync();
    if (operations.length === 1) await recorder.unmount();
    return from;
  });
}

async function persist(recorder: Recorder, between: Between): Promise<void> {
  if (between === 'sync') await recorder.sync();
  else if (between === 'background') void recorder.sync().catch(() => {});
}

async function recordScenario(name: string, number: number, seed: number): Promise<Recorded> {
  const scenario = SCENARIOS[number];
  if (!scenario) throw new Error(`no workload ${name}`);
  const { journalBlocks } = scenario;
  const volumeBytes = (192 + journalBlocks) * KIB;
  const shape = { volumeBytes, spareBytes: 0, blockBytes: 1024, journalBlocks };
  // Scenarios are about blocks that are used again at once.
  const run = (recorder: Recorder) => runScenario(scenario, recorder);
  const options = { allocator: groupAndGoal, discard: scenario.discard };
  return recordOn(await formattedDisk(shape), seed, run, options);
}

async function recordRandom(seed: number): Promise<Recorded> {
  const random = new SeededRandom(seed);
  const shape = random.pick(RANDOM_SHAPES);
  const reorder = random.chance(0.5) ? 1 + random.below(1e6) : 0;
  // Half of them by a policy that goes round the space and soon uses again what was freed.
  const allocator = seed % 2 === 0 ? groupAndGoal : DEFAULT_ALLOCATOR;
  const withDiscard = seed % 4 === 1;
  const quota = seed % 5 === 4;
  const body = async (recorder: Recorder) => {
    recorder.countsUsage = quota;
    await runRandom(recorder, random, {
      withInodes: seed % 4 === 3,
      withDiscard,
      withRanges: seed % 4 === 2,
      withQuotas: quota,
    });
    return 0;
  };
  return recordOn(await formattedDisk({ ...shape, quota }), reorder, body, {
    allocator,
    discard: withDiscard,
  });
}

const formattedDisks = new Map<string, Uint8Array>();

async function formattedDisk(shape: Shape): Promise<CrashDisk> {
  let bytes = formattedDisks.get(JSON.stringify(shape));
  if (!bytes) {
    const disk = new CrashDisk(poisonedDisk(shape.volumeBytes + shape.spareBytes));
    await formatVolume(disk.device(), {
      blockBytes: shape.blockBytes,
      journalBlocks: shape.journalBlocks,
      sizeBytes: shape.volumeBytes,
      label: 'crash',
      uuid: new Uint8Array(16).map((_, i) => i + 1),
      journalSalt: new Uint8Array(8).map((_, i) => i * 31),
      nameSecret: new Uint8Array(16).map((_, i) => i * 31),
      uid: 0,
      gid: 0,
      features: shape.quota ? defaultFeatures().add('quota') : defaultFeatures(),
      clock: new StoppedClock(),
    });
    bytes = disk.bytes;
    formattedDisks.set(JSON.stringify(shape), bytes);
  }
  return new CrashDisk(bytes.slice());
}

/** What a workload's volume is mounted with. */
interface WorkloadOptions {
  readonly allocator?: AllocatorDefinition;
  readonly discard?: boolean;
}

/** @param reorder 0: requests end in order; otherwise the seed of a device that reorders them */
async function recordOn(
  disk: CrashDisk,
  reorder: number,
  body: (recorder: Recorder) => Promise<number>,
  { allocator = DEFAULT_ALLOCATOR, discard = false }: WorkloadOptions = {},
): Promise<Recorded> {
  const mark = disk.mark();
  const device = reorder === 0 ? inOrder(disk) : outOfOrder(disk, reorder);
  const clock = new StoppedClock(1_900_000_000);
  // A clock of its own: each turn takes one step, so that a seed says in which order all happens.
  let milliseconds = 0;
  const turns = { ...EVENT_LOOP, now: () => milliseconds++ };
  const volume = await openVolume(device, {
    commitSeconds: 0,
    cacheBytes: CACHE_BYTES,
    clock,
    turns,
    allocator,
    discard,
    thorough: true,
  });
  const recorder = new Recorder(device, volume);
  const from = await body(recorder);
  if (!recorder.unmounted) await checkAgainstModel(recorder);
  const log = device.log.slice();
  await recorder.abandon();
  disk.rollback(mark);
  disk.recycle();
  return { disk, log, from, recorder };
}

function inOrder(disk: CrashDisk): RecordingDevice {
  const log: DeviceEvent[] = [];
  return Object.assign(disk.device({ log }), { log });
}

function outOfOrder(disk: CrashDisk, seed: number): RecordingDevice {
  const content = new SparseBytes();
  content.write(0, disk.bytes);
  const stragglers = [0.1, 0.4, 0][seed % 3] ?? 0;
  return new SimulatedDevice({ sizeBytes: disk.bytes.length, seed, content, stragglers });
}

/** The model itself must be right: names and attributes are those of the live volume. */
async function checkAgainstModel(recorder: Recorder): Promise<void> {
  const tree = await readTree(recorder.volume);
  const { signature } = recorder.model.versions.at(-1) ?? {};
  if (tree.signature !== signature) {
    throw new Error(`the model says\n${signature}\nthe volume says\n${tree.signature}`);
  }
}
