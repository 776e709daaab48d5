/**
 * A loop device of our own over an image file, for `-o loop`: the kernel then has a block device to
 * mount, and tells the daemon of sync(2), and umount(2) waits for it.
 *
 *   attach ──▶ opened ──▶ detached, which takes effect when nobody has it open any more
 *
 * So it goes with the mount and the daemon, however these end. losetup(8) does it, which comes with
 * mount(8).
 */
import { execFile, execFileSync } from 'node:child_process';
import { closeSync, fstatSync, ftruncateSync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { isUtf8, systemPath } from '../path-bytes.ts';
import { blockFacts, storageIdOf } from './block-devices.ts';
import { CommandError, targetError } from './failure.ts';
import { findProgram } from './find-program.ts';
import { requireFileSize } from './process-limits.ts';
import { numbersOf } from './storage-layers.ts';
import { inspectTarget, isWriteProtected, type Target } from './target.ts';

/** A device that does not answer losetup is no reason to keep a mount waiting. */
const LIMIT_MS = 10_000;

/** The image of a device, and who makes one of it. */
interface Image {
  readonly path: string;
  readonly losetup: string;
}

/** What losetup complains of, in one line. */
function complaint({ path }: Image, thrown: unknown): CommandError {
  const { stderr }: Record<string, unknown> = Object(thrown);
  const words = String(stderr)
    .trim()
    .replace(/\s*\n\s*/g, '; ');
  return new CommandError(`no loop device can be had for ${path}: ${words}`, { cause: thrown });
}

/** Before the volume is mounted: nobody is kept waiting. @throws CommandError */
function losetupNow(image: Image, ...args: readonly string[]): string {
  try {
    return execFileSync(image.losetup, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  } catch (thrown) {
    throw complaint(image, thrown);
  }
}

/** To be made longer, if that can be: a remount may want it later. @throws CommandError */
function openImage(path: string, readOnly: boolean): number {
  try {
    return openSync(systemPath(path), 'r+');
  } catch (thrown) {
    if (!readOnly) throw targetError(thrown, path);
    return openSync(systemPath(path), 'r');
  }
}

export class LoopDevice {
  /** The device, to be mounted in place of the image. */
  readonly target: Target;
  readonly #image: Image;
  /** Of the image: its path may be another file's by and by. */
  readonly #file: number;
  #descriptor: number | undefined;

  private constructor(image: Image, file: number, device: string) {
    this.#image = image;
    this.#file = file;
    try {
      this.#descriptor = openSync(device, 'r');
      this.target = inspectTarget(device);
    } finally {
      losetupNow(image, '--detach', device);
    }
  }

  /**
   * @param readOnly whether it may be one that takes no changes, where the image is write-protected
   * @throws CommandError
   */
  static attach({ path }: Target, readOnly: boolean): LoopDevice {
    if (!isUtf8(path))
      throw new CommandError('losetup cannot be given a path that is not UTF-8: mount without -o loop');
    const losetup = findProgram('losetup');
    if (losetup === undefined)
      throw new CommandError("losetup was not found, which -o loop needs: install 'mount' or 'util-linux'");
    const image = { path, losetup };
    const file = openImage(path, readOnly);
    try {
      const device = losetupNow(image, '--find', '--show', '--direct-io=on', '--', path);
      return new LoopDevice(image, file, device).#checked(readOnly);
    } catch (thrown) {
      closeSync(file);
      throw thrown;
    }
  }

  /** @throws CommandError; the device is gone then */
  #checked(readOnly: boolean): this {
    const { path } = this.#image;
    const { backing } = blockFacts(numbersOf(this.target.id) ?? '').loop ?? {};
    const isOther = backing !== storageIdOf(fstatSync(this.#file, { bigint: true }));
    if (!isOther && (readOnly || !isWriteProtected(this.target))) return this;
    closeSync(this.#descriptor ?? -1);
    if (isOther) throw new CommandError(`${path} became another file meanwhile: try again`);
    throw new CommandError(`${path} is write-protected: mount it with -o ro`);
  }

  /** Takes over the length that the image has by now. @throws CommandError */
  async refresh(): Promise<void> {
    const args = ['--set-capacity', this.target.path];
    try {
      await promisify(execFile)(this.#image.losetup, args, { timeout: LIMIT_MS });
    } catch (thrown) {
      throw complaint(this.#image, thrown);
    }
  }

  /**
   * Makes the image and the device as long as a volume is to be.
   * @returns what takes that back
   * @throws CommandError if it cannot be; then they are as they were
   */
  async extend(sizeBytes: number): Promise<() => Promise<void>> {
    requireFileSize(this.#image.path, sizeBytes);
    const before = fstatSync(this.#file).size;
    const resize = async (lengthBytes: number) => {
      ftruncateSync(this.#file, lengthBytes);
      await this.refresh();
    };
    try {
      await resize(sizeBytes);
    } catch (thrown) {
      await resize(before);
      throw thrown;
    }
    return () => resize(before);
  }

  /** Idempotent. The device goes when the kernel and whoever else has it let go of it. */
  close(): void {
    if (this.#descriptor === undefined) return;
    closeSync(this.#descriptor);
    closeSync(this.#file);
    this.#descriptor = undefined;
  }
}
