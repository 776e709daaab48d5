/**
 * The measurement of `quarry io`: keeps `depth` requests under way for a time, and notes how long
 * each took.
 *
 * Each of the `depth` slots has its own buffer and submits its next request from the end of the
 * last, so that what ends together is submitted together. What is submitted counts when it ends
 * within the time; the rest is waited for and left out.
 */
import { AlignedBuffer } from '../aio/file/aligned-buffer.ts';
import type { AsyncFile, IoRequest } from '../aio/file/async-file.ts';
import { LatencyHistogram } from '../common/latency-histogram.ts';
import { SeededRandom } from '../sim/seeded-random.ts';

export const WORKLOADS = ['randread', 'randwrite', 'read', 'write'] as const;
export type IoWorkload = (typeof WORKLOADS)[number];

export interface MeasurementPlan {
  readonly workload: IoWorkload;
  /** Bytes of each request. */
  readonly blockBytes: number;
  /** Requests under way at once. */
  readonly depth: number;
  readonly seconds: number;
  /** The part of the target that is used, from its start: a multiple of `blockBytes`. */
  readonly sizeBytes: number;
}

export interface Measurement {
  readonly requests: number;
  readonly seconds: number;
  /** Requests per second. */
  readonly iops: number;
  readonly bytesPerSecond: number;
  /** From submission to end, in microseconds. */
  readonly latencyUs: { mean: number; p50: number; p90: number; p99: number; max: number };
  /** Processor time of this process, user and system, per request, in microseconds. */
  readonly cpuUsPerRequest: number;
}

/** How often progress is told. */
const TICK_MILLISECONDS = 100;
const RANDOM_SEED = 1;

/** Where the next request goes: anywhere, or after the last, and from the end to the start. */
function placesOf(plan: MeasurementPlan): () => number {
  const blocks = Math.floor(plan.sizeBytes / plan.blockBytes);
  if (plan.workload.startsWith('rand')) {
    const random = new SeededRandom(RANDOM_SEED);
    return () => random.below(blocks) * plan.blockBytes;
  }
  let next = 0;
  return () => (next++ % blocks) * plan.blockBytes;
}

/** What is written does not compress, and does not depend on the place. */
function fillWithNoise(bytes: Buffer): void {
  const random = new SeededRandom(RANDOM_SEED);
  for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.writeUInt32LE(random.uint32(), at);
}

/**
 * Runs the plan on an open file.
 * @param onProgress hears how many seconds have passed
 * @param signal ends it early
 * @throws what a request failed with
 */
export async function measure(
  file: AsyncFile,
  plan: MeasurementPlan,
  onProgress: (seconds: number) => void = () => undefined,
  signal?: AbortSignal,
): Promise<Measurement> {
  const writes = plan.workload.endsWith('write');
  const memory = AlignedBuffer.allocate(slotBytes(plan) * plan.depth);
  if (writes) fillWithNoise(memory);
  const latencies = new LatencyHistogram();
  const nextPlace = placesOf(plan);
  let failure: Error | undefined;
  let running = true;

  const submit = (bytes: Buffer) => {
    const offset = nextPlace();
    const options = { onDone: (request: IoRequest) => ended(request, bytes) };
    if (writes) file.submitWrite(bytes, offset, options);
    else file.submitRead(bytes, offset, options);
  };
  const ended = (request: IoRequest, bytes: Buffer) => {
    if (request.error) {
      failure ??= request.error;
      running = false;
    }
    if (!running) return;
    latencies.record(request.latency * 1e6);
    submit(bytes);
  };

  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  for (let slot = 0; slot < plan.depth; slot++) submit(bufferOf(memory, slot, plan));
  await untilOver(plan, onProgress, () => running && !signal?.aborted);
  running = false;
  const seconds = (performance.now() - start) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  await file.drain();
  if (failure) throw failure;
  return conclude(latencies, plan, seconds, cpu.user + cpu.system);
}

/** Buffers start at sectors. */
function slotBytes(plan: MeasurementPlan): number {
  return Math.ceil(plan.blockBytes / 4096) * 4096;
}

function bufferOf(memory: Buffer, slot: number, plan: MeasurementPlan): Buffer {
  return memory.subarray(slot * slotBytes(plan), slot * slotBytes(plan) + plan.blockBytes);
}

function untilOver(
  plan: MeasurementPlan,
  onProgress: (seconds: number) => void,
  goesOn: () => boolean,
): Promise<void> {
  const start = performance.now();
  return new Promise((resolve) => {
    const look = () => {
      const seconds = (performance.now() - start) / 1000;
      onProgress(seconds);
      if (seconds >= plan.seconds || !goesOn()) resolve();
      else setTimeout(look, Math.min(TICK_MILLISECONDS, Math.max(1, (plan.seconds - seconds) * 1000)));
    };
    look();
  });
}

function conclude(
  latencies: LatencyHistogram,
  plan: MeasurementPlan,
  seconds: number,
  cpuUs: number,
): Measurement {
  const requests = latencies.count;
  return {
    requests,
    seconds,
    iops: requests / seconds,
    bytesPerSecond: (requests * plan.blockBytes) / seconds,
    latencyUs: {
      mean: latencies.meanNanoseconds / 1000,
      p50: latencies.percentile(0.5) / 1000,
      p90: latencies.percentile(0.9) / 1000,
      p99: latencies.percentile(0.99) / 1000,
      max: latencies.maxNanoseconds / 1000,
    },
    cpuUsPerRequest: requests === 0 ? 0 : cpuUs / requests,
  };
}
