/**
 * The process that serves a mount, proven by the kernel: it holds /dev/fuse open for this very connection
 * (`fuse_connection` in /proc/PID/fdinfo, Linux 6.17), and is held by a descriptor, so that no later process of its number is taken for it.
 */
import { closeSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MountRecord } from '../fuse/mount.ts';
import { connectionOf } from '../fuse/mount-table.ts';
import { native } from '../native.ts';

const SIGKILL = 9;
const POLL_MILLISECONDS = 5;
/** How long a process that has ended may wait for its parent to notice: only then its status is known. */
const COLLECTION_MILLISECONDS = 1000;

/** Whether the process holds an end of this connection. */
export function servesConnection(pid: number, connection: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((number) => {
      if (!readlinkSync(`/proc/${pid}/fd/${number}`).endsWith('/fuse')) return false;
      const text = readFileSync(`/proc/${pid}/fdinfo/${number}`, 'utf8');
      return Number(/^fuse_connection:\s*(\d+)$/m.exec(text)?.[1]) === connection;
    });
  } catch {
    return false;
  }
}

export class MountServer {
  readonly pid: number;
  readonly #descriptor: number;

  private constructor(pid: number, descriptor: number) {
    this.pid = pid;
    this.#descriptor = descriptor;
  }

  /** undefined unless the process serves the connection. */
  static prove(pid: number, connection: number): MountServer | undefined {
    if (!servesConnection(pid, connection)) return undefined;
    const descriptor = native.openProcess(pid);
    if (descriptor < 0) return undefined;
    // Once more: what the descriptor holds is the process that was looked at only if it still serves.
    if (servesConnection(pid, connection)) return new MountServer(pid, descriptor);
    closeSync(descriptor);
    return undefined;
  }

  /** Its name and number, for people. */
  get text(): string {
    return `process ${this.pid}`;
  }

  get hasEnded(): boolean {
    return native.processHasEnded(this.#descriptor);
  }

  /** Resolves when it has ended, or with false when `signal` comes first. */
  async ended(signal: AbortSignal): Promise<boolean> {
    while (!this.hasEnded) {
      if (signal.aborted) return false;
      await sleep(POLL_MILLISECONDS);
    }
    return true;
  }

  /** The status of wait(2) of a process that has ended; undefined where it cannot be known. */
  async exitStatus(): Promise<number | undefined> {
    const end = Date.now() + COLLECTION_MILLISECONDS;
    for (;;) {
      const status = native.processExit(this.#descriptor);
      if (status >= 0) return status;
      if (Date.now() > end) return undefined;
      await sleep(POLL_MILLISECONDS);
    }
  }

  /** @returns 0 or an errno */
  kill(): number {
    return native.signalProcess(this.#descriptor, SIGKILL);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/**
 * The server of a mount; undefined if none can be proven: it has ended, is another user's, or the kernel is older.
 * @param likelyPid where to look first
 */
export function serverOf(mount: MountRecord, likelyPid?: number): MountServer | undefined {
  const connection = connectionOf(mount);
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  for (const pid of [...(likelyPid === undefined ? [] : [likelyPid]), ...all.map(Number)]) {
    const server = MountServer.prove(pid, connection);
    if (server) return server;
  }
  return undefined;
}
