/**
 * Harnesses over a volume in memory: a new one for each case, which must be sound in the end, with
 * nothing held and nothing said.
 */
import { expect } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { defaultFeatures } from '../../src/fs/format/features.ts';
import { QuotaKind, ROOT_INODE } from '../../src/fs/format/format.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';
import {
  type Calls,
  type Capability,
  type Limits,
  type Owner,
  type Quotas,
  ROOT,
  type Usage,
} from './calls.ts';
import { NodeCalls, type Nodes } from './name-walk.ts';
import type { Harness } from './run.ts';
import { SetClock } from './set-clock.ts';

const MIB = 1024 * 1024;
const BLOCK_BYTES = 4096;
const SIZE_BYTES = 16 * MIB;
const SMALL_BYTES = 8 * MIB;

/** A filesystem over the volume, and what must hold of it in the end. */
export interface NodesOf {
  readonly nodes: Nodes;
  readonly atEnd: () => void;
}

/** Formatted once, and copied for each case. */
async function formattedDevice(sizeBytes: number): Promise<MemoryDevice> {
  const device = new MemoryDevice(sizeBytes);
  await formatted(device, BLOCK_BYTES, undefined, undefined, defaultFeatures().add('quota'));
  return device;
}

/** What the volume counts, asked directly. */
class VolumeQuotas implements Quotas {
  constructor(readonly test: TestVolume) {}

  async usage({ kind, id }: Owner): Promise<Usage> {
    const { entries } = await this.test.volume.quotas.page(QuotaKind[kind], id, 1);
    const [entry] = entries.filter((one) => one.id === id);
    return { bytes: (entry?.blocks ?? 0) * BLOCK_BYTES, inodes: entry?.inodes ?? 0 };
  }

  async limit({ kind, id }: Owner, limits: Limits): Promise<void> {
    const { softBytes, hardBytes, softInodes, hardInodes } = limits;
    const blocks = (bytes?: number) => (bytes === undefined ? undefined : bytes / BLOCK_BYTES);
    const changes = { softBlocks: blocks(softBytes), hardBlocks: blocks(hardBytes), softInodes, hardInodes };
    await this.test.volume.quotas.setLimits(QuotaKind[kind], id, changes);
  }
}

export class MemoryHarness implements Harness {
  readonly #large = formattedDevice(SIZE_BYTES);
  readonly #small = formattedDevice(SMALL_BYTES);

  constructor(
    readonly capabilities: readonly Capability[],
    readonly nodesOf: (test: TestVolume) => NodesOf,
  ) {}

  async within(smallVolume: boolean, work: (fs: Calls) => Promise<void>): Promise<void> {
    const device = (await (smallVolume ? this.#small : this.#large)).clone();
    const clock = new SetClock();
    const test = await TestVolume.open(device, { clock });
    const { nodes, atEnd } = this.nodesOf(test);
    const surroundings = { clock, quotas: new VolumeQuotas(test) };
    await work(new NodeCalls(nodes, surroundings, ROOT_INODE, ROOT));
    expect(test.volume.counters()).toMatchObject({ inodesHeldByKernel: 0, failure: '' });
    await test.volume.unmount();
    atEnd();
    expect((await checkVolume(device.reopen())).problems).toEqual([]);
  }
}
