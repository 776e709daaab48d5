/**
 * The POSIX cases of test/posix on real mounts, each in a directory of its own; then the volumes
 * must be sound.
 *
 * QUARRY_TEST_SYSTEM=ext4 asks the kernel's own filesystem: what fails there is wrong in the cases.
 */
import { afterAll, beforeAll, test } from 'vitest';
import { type Calls, ROOT } from '../posix/calls.ts';
import { MOUNT_CAPABILITIES, MountCalls, SystemCalls } from '../posix/mount-calls.ts';
import { type Harness, runOn } from '../posix/run.ts';
import { SUBJECTS } from '../posix/subjects.ts';
import { describeMount, MIB, until, Volume } from './harness.ts';

const SMALL_BYTES = 12 * MIB;
const SETTLE_MS = 20_000;
/** What directories and their like may keep of a small volume. */
const KEPT_BLOCKS = 16;

/** A mount, with a child that makes the calls on it. */
class Mounted {
  readonly #system: SystemCalls;
  readonly #calls: MountCalls;
  #cases = 0;

  constructor(readonly volume: Volume) {
    this.#system = new SystemCalls(volume.directory);
    this.#calls = new MountCalls(this.#system, ROOT);
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
    volume = await Volume.make();
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
    capabilities: MOUNT_CAPABILITIES,
    within: (inSmall, work) => (inSmall ? small.withinSmall(work) : large.within(work)),
  };
  runOn(harness, SUBJECTS);

  test('the volumes are sound afterwards: one as it was left, one emptied after each case', async () => {
    await large.end();
    await small.end();
    await Promise.all([volume.unmountAndCheck(), smallVolume.unmountAndCheck()]);
  });
});
