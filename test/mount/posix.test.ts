/**
 * The POSIX cases of test/posix on real mounts, each in a directory of its own; then the volumes
 * must be sound.
 *
 * QUARRY_TEST_SYSTEM=ext4 asks the kernel's own filesystem: what fails there is wrong in the cases.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Calls, type Limits, type Owner, type Quotas, ROOT, type Usage } from '../posix/calls.ts';
import { MOUNT_CAPABILITIES, MountCalls, SystemCalls } from '../posix/mount-calls.ts';
import { type Harness, runOn } from '../posix/run.ts';
import { SUBJECTS } from '../posix/subjects.ts';
import { describeMount, MIB, quarry, SYSTEM, until, Volume } from './harness.ts';

const SMALL_BYTES = 12 * MIB;
const SETTLE_MS = 20_000;
/** The kernel passes quotactl(2) to no FUSE mount; the others would have to be asked by it. */
const HAS_QUOTAS = SYSTEM === 'quarry';
/** What directories and their like may keep of a small volume. */
const KEPT_BLOCKS = 16;

/** What the volume of a mount counts, as `quarry quota` tells it. */
class MountQuotas implements Quotas {
  constructor(readonly directory: string) {}

  async #quota(...words: string[]): Promise<string> {
    const { status, stdout, stderr } = await quarry('quota', ...words);
    if (status !== 0) throw new Error(stderr);
    return stdout;
  }

  async usage({ kind, id }: Owner): Promise<Usage> {
    const report = JSON.parse(await this.#quota('report', this.directory, `--${kind}`, '--json'));
    const lines: (Usage & { id: number })[] = report.quotas[0].lines;
    const { bytes, inodes } = lines.find((line) => line.id === id) ?? { bytes: 0, inodes: 0 };
    return { bytes, inodes };
  }

  async limit({ kind, id }: Owner, limits: Limits): Promise<void> {
    const words = Object.entries(OPTIONS).flatMap(([name, option]) => {
      const limit = limits[name as keyof Limits];
      return limit === undefined ? [] : [option, String(limit)];
    });
    await this.#quota('set', this.directory, `--${kind}`, String(id), ...words);
  }
}
const OPTIONS: Readonly<Record<keyof Limits, string>> = {
  softBytes: '--block-soft',
  hardBytes: '--block-hard',
  softInodes: '--inode-soft',
  hardInodes: '--inode-hard',
};

/** A mount, with a child that makes the calls on it. */
class Mounted {
  readonly #system: SystemCalls;
  readonly #calls: MountCalls;
  #cases = 0;

  constructor(readonly volume: Volume) {
    this.#system = new SystemCalls(volume.directory);
    this.#calls = new MountCalls(this.#system, ROOT, new MountQuotas(volume.directory));
  }

  async within(work: (fs: Calls) => Promise<void>): Promise<void> {
    const directory = `${this.volume.directory}/case-${++this.#cases}`;
    await this.#calls.ask('chdir', this.volume.directory);
    await this.#calls.mkdir(directory);
    await this.#calls.ask('chdir', directory);
    await work(this.#calls);
  }

  /** As `within`; what the case leaves goes, and the space that it took is free again. */
  async withinSmall(work: (fs: Calls) => Promise<void>): Promise<void> {
    const { freeBlocks } = await this.#calls.statfs();
    try {
      await this.within(work);
    } finally {
      await this.#calls.ask('chdir', this.volume.directory);
      // What a full disk lost is told to whoever syncs next.
      await this.volume.shell(`rm -rf case-${this.#cases}; sync -f . || true`);
    }
    const isFree = async () => (await this.#calls.statfs()).freeBlocks >= freeBlocks - KEPT_BLOCKS;
    await until('the space of the case to come back', SETTLE_MS, isFree);
  }

  end(): Promise<void> {
    return this.#system.end();
  }
}

describeMount('POSIX on a mount', () => {
  let volume: Volume;
  let smallVolume: Volume;
  let large: Mounted;
  let small: Mounted;
  beforeAll(async () => {
    volume = await Volume.make({}, { mounted: false });
    if (HAS_QUOTAS) expect(await quarry('quota', 'on', volume.target)).toMatchObject({ status: 0 });
    await volume.mount();
    smallVolume = await Volume.make({ sizeBytes: SMALL_BYTES });
    // Anyone may pass through its root.
    await volume.shell('chmod 755 .');
    large = new Mounted(volume);
    small = new Mounted(smallVolume);
  });
  afterAll(async () => {
    await large?.end();
    await small?.end();
    await volume?.destroy();
    await smallVolume?.destroy();
  });

  const harness: Harness = {
    capabilities: HAS_QUOTAS ? [...MOUNT_CAPABILITIES, 'quotas'] : MOUNT_CAPABILITIES,
    within: (inSmall, work) => (inSmall ? small.withinSmall(work) : large.within(work)),
  };
  runOn(harness, SUBJECTS);

  test('the volumes are sound afterwards: one as it was left, one emptied after each case', async () => {
    await large.end();
    await small.end();
    await Promise.all([volume.unmountAndCheck(), smallVolume.unmountAndCheck()]);
  });
});
