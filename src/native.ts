/**
 * The native addon, seen from TypeScript: the one file that loads it.
 *
 * The addon makes system calls and nothing else. Addresses never reach JavaScript: memory is named by its
 * `AlignedMemory` object and offsets into it, and every length is checked natively. Callbacks are made
 * through the loop's own entry, so promises settled inside them run when they return, and what they throw
 * becomes an uncaught exception.
 */
import { createRequire } from 'node:module';
import type { Memory } from './aio/device.ts';

/** Page-aligned, zeroed, anonymous memory of fixed length; unmapped when unreachable and no I/O uses it. */
export interface AlignedMemory extends Memory {
  readonly bytes: Uint8Array;
}

/**
 * Kernel end of a FUSE mount: an open `/dev/fuse`, non-blocking, with memory for requests.
 *
 * The memory is `slotCount` slots of `slotBytes`. In a slot the first 4096 bytes are the head page and the
 * rest is the payload. A request is received at `4096 − 80` from the start of its slot, so that the
 * payload of a WRITE (40 bytes of fuse_in_header, 40 of fuse_write_in) starts page-aligned. The bytes of the head page
 * before it are free for replies.
 */
export interface FuseChannelHandle {
  readonly memory: AlignedMemory;
  readonly slotBytes: number;
  readonly slotCount: number;
  /** Filled before each callback: pairs (slot, length in bytes) of the requests received. */
  readonly ready: Int32Array;
  /** Starts receiving: `onRequests(count)` with `count` pairs in `ready`; `onClosed(errno)` once when the mount is gone (0 = unmounted, ENODEV). */
  start(onRequests: (count: number) => void, onClosed: (errno: number) => void): void;
  /** The slot may receive again. */
  release(slot: number): void;
  /** write(2) of `lengthBytes` at `offset` of `memory` to the kernel; 0 or an errno. */
  reply(offset: number, lengthBytes: number): number;
  /** writev(2) of a head at `offset` of the channel's memory and a body from any memory; 0 or an errno. */
  replyWithBody(
    offset: number,
    lengthBytes: number,
    body: AlignedMemory,
    bodyOffset: number,
    bodyBytes: number,
  ): number;
  /** Longest spin before going back to the event loop, in nanoseconds; 0 = never spin. */
  setSpin(nanoseconds: number): void;
  /** Counters since start: requests, wake-ups of the event loop, spins that paid, spins that did not. */
  statistics(): { requests: number; wakeups: number; spinHits: number; spinMisses: number };
  /** Stops receiving and closes the descriptor. Idempotent. */
  close(): void;
}

export interface NativeBinding {
  /** CRC-32C (Castagnoli) of bytes [from, to), continued from `seed` (0 to begin). Finished form: crc32c("123456789") = 0xe3069283. */
  crc32c(bytes: Uint8Array, from: number, to: number, seed: number): number;
  AlignedMemory: new (lengthBytes: number) => AlignedMemory;
  FuseChannel: new (descriptor: number, slotBytes: number, slotCount: number) => FuseChannelHandle;
}

const require = createRequire(import.meta.url);

/** @throws Error with what to do if the addon was not built for this machine. */
function load(): NativeBinding {
  try {
    return require('../build/Release/quarry.node') as NativeBinding;
  } catch (cause) {
    throw new Error(
      "the native addon is not built: run 'npm install' (it needs a C++ compiler, make and python3)",
      {
        cause,
      },
    );
  }
}

export const native: NativeBinding = load();
