/**
 * A picture of frames as they are at one moment, taken bit by bit while operations go on.
 *
 * A frame in the picture that is about to change, or to go, is copied before (`Transaction.modify`,
 * `BlockCache.drop`); all others are copied when their turn comes. So what is copied is what all of
 * them held when the picture was begun, and no step of it is long.
 */
import type { Frame, FramePicture } from '../transaction/block-cache.ts';

/** Frames copied between two looks at the clock: some 50 µs of work. */
const FRAMES_PER_STEP = 32;

export class Picture implements FramePicture {
  #next = 0;

  /** @param copy makes the copy of one frame, now */
  constructor(
    private readonly frames: readonly Frame[],
    private readonly copy: (frame: Frame) => void,
  ) {
    for (const frame of frames) frame.picture = this;
  }

  /** Copies a frame that has not been copied yet. */
  take(frame: Frame): void {
    frame.picture = undefined;
    this.copy(frame);
  }

  /** Copies some more. @returns whether that was all */
  takeSome(): boolean {
    const until = Math.min(this.frames.length, this.#next + FRAMES_PER_STEP);
    for (; this.#next < until; this.#next++) {
      const frame = this.frames[this.#next] as Frame;
      if (frame.picture === this) this.take(frame);
    }
    return this.#next === this.frames.length;
  }
}
