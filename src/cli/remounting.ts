/**
 * A remount, as the daemon sees it: what it is told by `quarry mount -o remount`, and what the
 * mount table shows of a plain mount(8).
 *
 * When the filesystem has become read-only the volume is put to rest: all at home and marked clean.
 * It wakes by itself with the first change after it is writable again, so nothing has to be noticed
 * for that.
 */
import type { Volume } from '../fs/volume.ts';
import { accessRules, MountFlag } from '../fuse/mount-flags.ts';
import type { MountOptions } from '../fuse/options.ts';
import { changedOptions, flagsOf, followedFlags, isReadOnly } from '../fuse/remount.ts';
import { type SynchronousRequests, synchronousRequests } from '../fuse/synchronous.ts';
import { native } from '../native.ts';
import { failureLine } from './failure.ts';
import type { LogLine } from './mount-log.ts';
import type { OwnMount } from './own-mount.ts';

/** A burst of changes of the mount table, such as a boot, is looked at once. */
const LOOK_MILLISECONDS = 20;

/** What `quarry mount -o remount` says. */
export interface RemountQuestion {
  readonly words: readonly string[];
  /** False: only whether it can be. */
  readonly apply: boolean;
}

/** What a remount changes. */
interface Remounted {
  readonly volume: Volume;
  readonly place: OwnMount;
  /** Without the property where it stays as it was mounted. */
  readonly session: { synchronous?: SynchronousRequests };
}

export class Remounting {
  readonly #volume: Volume;
  readonly #place: OwnMount;
  readonly #session: Remounted['session'];
  readonly #log: LogLine;
  #options: MountOptions;
  #flags: number | undefined;
  #isReadOnly: boolean;
  #timer: NodeJS.Timeout | undefined;
  readonly #watch: { close(): void } | undefined;

  constructor({ volume, place, session }: Remounted, options: MountOptions, log: LogLine) {
    this.#volume = volume;
    this.#place = place;
    this.#session = session;
    this.#options = options;
    this.#log = log;
    this.#isReadOnly = options.readOnly;
    this.#flags = this.#tableFlags();
    this.#watch = this.#startWatch();
  }

  /** As the mount table says now, which may not have been noticed yet. */
  get isReadOnly(): boolean {
    return this.#place.isReadOnly ?? this.#isReadOnly;
  }

  /** Without /proc nothing is noticed, and all else works. */
  #startWatch(): { close(): void } | undefined {
    try {
      return new native.MountWatch(() => this.#lookSoon());
    } catch (thrown) {
      this.#log(`a remount by mount(8) will not be noticed: ${failureLine(thrown)}`);
      return undefined;
    }
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#watch?.close();
  }

  /** @throws MountOptionError, or the error of the device */
  async answer(payload: string): Promise<void> {
    const { words, apply } = readQuestion(payload);
    this.#follow();
    const changed = changedOptions(this.#options, words);
    if (!apply) return;
    this.#options = changed;
    const { commitSeconds, directoryGroups, discard, quota, reserved, flags, readOnly } = changed;
    this.#volume.adjust({ commitSeconds, directoryGroups, discard, quota, reserved });
    this.#heed(flags);
    await this.#becomes(readOnly);
  }

  #tableFlags(): number | undefined {
    const [own] = this.#place.places();
    if (own === undefined) return undefined;
    return (flagsOf(own) & ~MountFlag.readOnly) | (isReadOnly(own) ? MountFlag.readOnly : 0);
  }

  /** Takes over what the mount table shows to have changed. */
  #follow(): void {
    const before = this.#flags;
    const now = this.#tableFlags();
    if (now === undefined || now === before) return;
    this.#flags = now;
    if (before === undefined) return;
    const flags = followedFlags(this.#options.flags, before, now);
    this.#options = { ...this.#options, flags };
    this.#heed(flags);
  }

  #heed(flags: number): void {
    this.#volume.adjust({ accessRules: accessRules(flags) });
    if (this.#session.synchronous !== undefined) this.#session.synchronous = synchronousRequests(flags);
  }

  #lookSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#look();
    }, LOOK_MILLISECONDS).unref();
  }

  #look(): void {
    const [own] = this.#place.places();
    if (own === undefined) return;
    this.#follow();
    this.#becomes(isReadOnly(own)).catch((thrown) => {
      this.#log(`the mount is read-only now, but not everything could be written: ${failureLine(thrown)}`);
    });
  }

  async #becomes(readOnly: boolean): Promise<void> {
    const before = this.#isReadOnly;
    this.#isReadOnly = readOnly;
    if (readOnly) await this.#volume.rest();
    else if (before && this.#volume.readOnly && !this.#volume.resting) {
      this.#log('the volume stays read-only, as it was mounted: unmount and mount again to write to it');
    }
  }
}

function readQuestion(payload: string): RemountQuestion {
  const { words, apply }: Record<string, unknown> = Object(JSON.parse(payload));
  const list = Array.isArray(words) ? words.map(String) : [];
  return { words: list, apply: apply === true };
}
