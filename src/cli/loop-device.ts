/**
 * A loop device of our own over an image file, for `-o loop`: the kernel then has a block device to
 * mount, and tells the daemon of sync(2), and umount(2) waits for it.
 *
 *   attach ──▶ opened ──▶ detached, which takes effect when nobody has it open any more
 *
 * So it goes with the mount and the daemon, however these end. losetup(8) does it, which comes with
 * mount(8).
 */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { basename } from 'node:path';
import { codeOf } from '../common/thrown.ts';
import { isUtf8, systemPath } from '../path-bytes.ts';
import { CommandError } from './failure.ts';
import { requireFileSize } from './process-limits.ts';
import { inspectTarget, type Target } from './target.ts';

/** @throws CommandError with what losetup complains of, in one line */
function losetup(image: string, ...args: readonly string[]): string {
  try {
    return execFileSync('losetup', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT')
      throw new CommandError("losetup was not found, which -o loop needs: install 'mount' or 'util-linux'");
    const { stderr }: Record<string, unknown> = Object(thrown);
    const complaint = String(stderr)
      .trim()
      .replace(/\s*\n\s*/g, '; ');
    throw new CommandError(`no loop device can be had for ${image}: ${complaint}`, { cause: thrown });
  }
}

function isWriteProtected(device: string): boolean {
  return readFileSync(`/sys/block/${basename(device)}/ro`, 'utf8').trim() === '1';
}

export class LoopDevice {
  /** The device, to be mounted in place of the image. */
  readonly target: Target;
  readonly #image: string;
  #descriptor: number | undefined;

  private constructor(image: string, device: string) {
    this.#image = image;
    try {
      this.#descriptor = openSync(device, 'r');
      this.target = inspectTarget(device);
    } finally {
      losetup(image, '--detach', device);
    }
  }

  /**
   * @param readOnly whether it may be one that takes no changes, where the image is write-protected
   * @throws CommandError
   */
  static attach({ path }: Target, readOnly: boolean): LoopDevice {
    if (!isUtf8(path))
      throw new CommandError('losetup cannot be given a path that is not UTF-8: mount without -o loop');
    const device = losetup(path, '--find', '--show', '--direct-io=on', '--', path);
    const loop = new LoopDevice(path, device);
    if (readOnly || !isWriteProtected(device)) return loop;
    loop.close();
    throw new CommandError(`${path} is write-protected: mount it with -o ro`);
  }

  /** Takes over the length that the image has by now. @throws CommandError */
  refresh(): void {
    losetup(this.#image, '--set-capacity', this.target.path);
  }

  /**
   * Makes the image and the device as long as a volume is to be.
   * @returns what takes that back
   * @throws CommandError if it cannot be; then they are as they were
   */
  extend(sizeBytes: number): () => void {
    requireFileSize(this.#image, sizeBytes);
    const before = statSync(systemPath(this.#image)).size;
    const resize = (lengthBytes: number) => {
      truncateSync(systemPath(this.#image), lengthBytes);
      this.refresh();
    };
    try {
      resize(sizeBytes);
    } catch (thrown) {
      resize(before);
      throw thrown;
    }
    return () => resize(before);
  }

  /** Idempotent. The device goes when the kernel and whoever else has it let go of it. */
  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}
