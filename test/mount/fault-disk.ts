/**
 * A loop device on a disk that is slow, fails or loses power when a test says so:
 * scripts/fault-disk.mjs in a child process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { MIB, ROOT, Scratch, shell, shellResult, until, Volume } from './harness.ts';

export class FaultDisk {
  readonly #scratch = new Scratch();
  /** Where its mount is. */
  readonly directory = this.#scratch.file('disk');
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  loop = '';

  private constructor(sizeBytes: number) {
    mkdirSync(this.directory);
    const args = [join(ROOT, 'scripts/fault-disk.mjs'), this.directory, String(sizeBytes)];
    this.#child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    if (!this.#child.stdout) throw new Error('no pipe');
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  static async start(sizeBytes: number): Promise<FaultDisk> {
    const disk = new FaultDisk(sizeBytes);
    try {
      await disk.#answer();
      disk.loop = (await shell(`losetup --find --show --direct-io=on '${disk.directory}/disk'`)).trim();
      return disk;
    } catch (error) {
      await disk.end();
      throw error;
    }
  }

  async #answer(): Promise<Record<string, unknown>> {
    const { value } = await this.#lines.next();
    if (value === undefined) throw new Error('the fault disk is gone');
    return JSON.parse(value);
  }

  /** One command: slow MS, fail writes|flushes|reads|all, mend, cut SEED, count. */
  async say(command: string): Promise<Record<string, unknown>> {
    this.#child.stdin?.write(`${command}\n`);
    const answer = await this.#answer();
    if ('error' in answer) throw new Error(`fault disk: ${answer.error}`);
    return answer;
  }

  /** Leaves its mount without a daemon. The loop device must be detached. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await until('the end of the fault disk', 5000, () => this.#child.signalCode !== null);
  }

  /** The loop device must be detached. Never throws. */
  async end(): Promise<void> {
    await shellResult(`umount '${this.directory}' || umount -l '${this.directory}'`);
    this.#child.kill('SIGKILL');
    await this.#scratch.remove();
  }
}

/** A formatted volume, not mounted, on such a disk; end the disk after `destroy`. */
export async function volumeOnFaultDisk(): Promise<{ volume: Volume; disk: FaultDisk }> {
  const sizeBytes = 96 * MIB;
  const volume = await Volume.make({ sizeBytes }, { mounted: false });
  try {
    const disk = await FaultDisk.start(sizeBytes);
    volume.target = disk.loop;
    await volume.format();
    return { volume, disk };
  } catch (error) {
    await volume.destroy();
    throw error;
  }
}
