/**
 * The process that serves a mount, proven by the kernel: it holds /dev/fuse open for this very
 * connection (`fuse_connection` in /proc/PID/fdinfo, Linux 6.17), and is held by a descriptor, so
 * that no later process of its number is taken for it.
 */
import { closeSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MountRecord } from '../fuse/mount-table.ts';
import { connectionOf, ownerOf } from '../fuse/mount-table.ts';
import { native } from '../native.ts';
import { connectionIn, processNumbers, statusOfZombie } from './processes.ts';

const SIGKILL = 9;
const ESRCH = 3;
const POLL_MILLISECONDS = 5;
/**
 * How long a process that has ended may wait for its parent to notice: to other users its status
 * is known only then.
 */
const COLLECTION_MILLISECONDS = 1000;

/**
 * Which connections a process holds an end of; undefined stands for one that the kernel does not
 * name.
 */
function connectionsOf(pid: number): (number | undefined)[] {
  try {
    const numbers = readdirSync(`/proc/${pid}/fd`);
    const fuse = numbers.filter((number) => readlinkSync(`/proc/${pid}/fd/${number}`).endsWith('/fuse'));
    return fuse.map((number) => connectionIn(readFileSync(`/proc/${pid}/fdinfo/${number}`, 'utf8')));
  } catch {
    return [];
  }
}

function ownerOfProcess(pid: number): number | undefined {
  try {
    return statSync(`/proc/${pid}`).uid;
  } catch {
    return undefined;
  }
}

export class MountServer {
  readonly pid: number;
  readonly #descriptor: number;

  /** Whether the kernel says that it serves the mount. */
  readonly #proven: boolean;

  private constructor(pid: number, descriptor: number, proven: boolean) {
    this.pid = pid;
    this.#descriptor = descriptor;
    this.#proven = proven;
  }

  static #hold(pid: number, serves: () => boolean, proven: boolean): MountServer | undefined {
    if (!serves()) return undefined;
    const descriptor = native.openProcess(pid);
    if (descriptor < 0) return undefined;
    // Once more: what the descriptor holds is the process that was looked at only if it still
    // serves.
    if (serves()) return new MountServer(pid, descriptor, proven);
    closeSync(descriptor);
    return undefined;
  }

  /** undefined unless the process serves the connection. */
  static prove(pid: number, connection: number): MountServer | undefined {
    return MountServer.#hold(pid, () => connectionsOf(pid).includes(connection), true);
  }

  /**
   * On a kernel that names no connections: a process of the mount's owner that serves some mount.
   * It is waited for, and never killed.
   */
  static believe(pid: number, uid: number): MountServer | undefined {
    const serves = () => ownerOfProcess(pid) === uid && connectionsOf(pid).includes(undefined);
    return MountServer.#hold(pid, serves, false);
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
    const end = performance.now() + COLLECTION_MILLISECONDS;
    for (;;) {
      const status = native.processExit(this.#descriptor);
      if (status >= 0) return status;
      // Its number is nobody else's until it is collected.
      const uncollected = statusOfZombie(this.pid);
      if (uncollected !== undefined) return uncollected;
      if (performance.now() > end) return undefined;
      await sleep(POLL_MILLISECONDS);
    }
  }

  /** @returns 0 or an errno: ESRCH for a process that is not proven */
  kill(): number {
    return this.#proven ? native.signalProcess(this.#descriptor, SIGKILL) : ESRCH;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/**
 * The server of a mount; undefined if none can be proven: it has ended, is another user's, or the
 * kernel is older.
 * @param likelyPid where to look first
 */
export function serverOf(mount: MountRecord, likelyPid?: number): MountServer | undefined {
  const proven = serverOfConnection(connectionOf(mount), likelyPid);
  if (proven || likelyPid === undefined) return proven;
  return MountServer.believe(likelyPid, ownerOf(mount).uid);
}

export function serverOfConnection(connection: number, likelyPid?: number): MountServer | undefined {
  for (const pid of [...(likelyPid === undefined ? [] : [likelyPid]), ...processNumbers().map(Number)]) {
    const server = MountServer.prove(pid, connection);
    if (server) return server;
  }
  return undefined;
}
