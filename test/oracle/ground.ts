/**
 * A real volume of the mount harness as the ground of a round, with the workers compiled from
 * worker.c.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { MIB, run, SYSTEM, until, Volume } from '../mount/harness.ts';
import { MOST_BYTES } from './content.ts';
import { type Ground, natureOf, type VolumeNature } from './run.ts';
import { Worker } from './worker.ts';

const WORKERS = 4;
const DROP_LIMIT_MS = 5000;
const VOLUME_BYTES = 256 * MIB;
const SOURCE = fileURLToPath(new URL('worker.c', import.meta.url));
/** Bytes of a call, and what a direct read asks for behind the end. */
const EXCHANGE_BYTES = MOST_BYTES + 65_536;

/** Asks for it; still there if the kernel has not got to it. */
let asking: ChildProcess | undefined;

/**
 * The kernel goes through all mounts of the machine for it, and waits for each whose server is
 * stopped or ends just now. So a process of its own asks, and is left behind if that takes too
 * long; nobody else asks until it has ended.
 */
async function dropAllCaches(): Promise<boolean> {
  const isUnderWay = () => asking?.exitCode === null && asking.signalCode === null;
  if (isUnderWay()) return false;
  asking = spawn('sh', ['-c', 'echo 3 > /proc/sys/vm/drop_caches'], { stdio: 'ignore' });
  asking.unref();
  await until('caches dropped', DROP_LIMIT_MS, () => !isUnderWay()).catch(() => undefined);
  return asking.exitCode === 0;
}

/** @param program where the compiled worker goes */
export async function compileWorker(program: string): Promise<void> {
  const compiler = process.env.CC ?? 'cc';
  const { status, stderr } = await run(compiler, [
    '-O2',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-o',
    program,
    SOURCE,
  ]);
  if (status !== 0) throw new Error(`${SOURCE} does not compile:\n${stderr}`);
}

export class VolumeGround implements Ground {
  readonly nature: VolumeNature;
  readonly #volume: Volume;
  readonly #program: string;

  private constructor(volume: Volume, program: string, nature: VolumeNature) {
    this.#volume = volume;
    this.#program = program;
    this.nature = nature;
  }

  static async make(program: string, seed: number): Promise<VolumeGround> {
    const nature = natureOf(seed);
    const { kind, blockBytes } = nature;
    const volume = await Volume.make({ kind, blockBytes, sizeBytes: VOLUME_BYTES }, { mounted: false });
    const ground = new VolumeGround(volume, program, nature);
    try {
      await ground.#mount();
      return ground;
    } catch (error) {
      await volume.destroy();
      throw error;
    }
  }

  get accessRule(): VolumeNature['accessRule'] {
    return this.nature.accessRule;
  }

  /** The other systems are always formatted with blocks of 4 KiB. */
  get blockBytes(): number {
    return SYSTEM === 'quarry' ? this.nature.blockBytes : 4096;
  }

  get copiesThroughCache(): boolean {
    return SYSTEM !== 'quarry';
  }

  #mount(): Promise<void> {
    return this.#volume.mount('-o', this.accessRule);
  }

  async remount(): Promise<void> {
    await this.#volume.unmountAndCheck();
    await this.#mount();
  }

  dropCaches(): Promise<boolean> {
    return dropAllCaches();
  }

  startWorkers(): Worker[] {
    const { directory, scratch } = this.#volume;
    return Array.from(
      { length: WORKERS },
      (_, i) => new Worker(i, this.#program, directory, scratch.path, EXCHANGE_BYTES),
    );
  }

  destroy(): Promise<void> {
    return this.#volume.destroy();
  }
}
