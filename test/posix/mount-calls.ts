/**
 * System calls on a real mount. A child makes them (system-calls.py): a process that calls into a
 * mount whose server hangs would hang itself. It has a limit for each, and is killed beyond it.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { SetMode } from '../../src/fs/base/filesystem.ts';
import {
  type Access,
  ALL_FLAGS,
  type Calls,
  type Capability,
  type Device,
  type Entry,
  NO_QUOTAS,
  type OpenFile,
  type OpenFlag,
  PosixError,
  type Quotas,
  type RangeChange,
  type Space,
  type Status,
  type TimeToSet,
  Type,
  type User,
} from './calls.ts';

/** What a kernel above the filesystem does; paths it takes apart, so that no name has a '/'. */
export const MOUNT_CAPABILITIES: readonly Capability[] = [
  'permissions',
  'open files',
  'path walk',
  'texts and sizes of nothing',
];

const PROGRAM = fileURLToPath(new URL('system-calls.py', import.meta.url));
const LIMIT_MS = 60_000;

/** The child that makes the calls, one after the other. */
export class SystemCalls {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(directory: string) {
    this.#child = spawn('python3', [PROGRAM], { cwd: directory, stdio: ['pipe', 'pipe', 'inherit'] });
    // That it is gone shows when no answer comes.
    this.#child.stdin.on('error', () => {});
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** @throws PosixError */
  async ask(name: string, user: User, base: number | null, args: readonly unknown[]): Promise<unknown> {
    const { uid, gid, groups, umask } = user;
    this.#child.stdin.write(`${JSON.stringify([name, [uid, gid, groups, umask], base, ...args])}\n`);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), LIMIT_MS);
    const { value: line } = await this.#lines.next();
    clearTimeout(timer);
    if (typeof line !== 'string') throw new Error(`system-calls.py ended in ${name}`);
    const answer = JSON.parse(line) as { value?: unknown; errno?: number; failure?: string };
    if (answer.failure !== undefined) throw new Error(`${name}: ${answer.failure}`);
    if (answer.errno !== undefined) throw new PosixError(answer.errno, name);
    return answer.value;
  }

  async end(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.stdin.end();
    if (this.#child.exitCode === null && this.#child.signalCode === null) await ended;
  }
}

/** A status as JSON has it. */
type StatusText = Omit<Status, 'accessNs' | 'modifyNs' | 'changeNs'> &
  Record<'accessNs' | 'modifyNs' | 'changeNs', string>;

function statusOf(answer: unknown): Status {
  const { accessNs, modifyNs, changeNs, ...rest } = answer as StatusText;
  return { ...rest, accessNs: BigInt(accessNs), modifyNs: BigInt(modifyNs), changeNs: BigInt(changeNs) };
}

class MountFile implements OpenFile {
  constructor(
    readonly calls: MountCalls,
    readonly descriptor: number,
  ) {}

  #ask(name: string, ...args: unknown[]): Promise<unknown> {
    return this.calls.ask(name, this.descriptor, ...args);
  }

  async read(offset: number, lengthBytes: number): Promise<Buffer> {
    return Buffer.from(String(await this.#ask('read', offset, lengthBytes)), 'base64');
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    await this.#ask('write', offset, Buffer.from(data).toString('base64'));
  }

  async status(): Promise<Status> {
    return statusOf(await this.#ask('statusOpen'));
  }

  async fallocate(
    change: RangeChange,
    offset: number,
    lengthBytes: number,
    keepSize: boolean,
  ): Promise<void> {
    await this.#ask('fallocate', change, offset, lengthBytes, keepSize);
  }

  async seek(offset: number, target: 'data' | 'hole'): Promise<number> {
    return Number(await this.#ask('seek', offset, target));
  }

  async copyTo(target: OpenFile, from: number, to: number, lengthBytes: number): Promise<number> {
    return Number(await this.#ask('copy', descriptorOf(target), from, to, lengthBytes));
  }

  async truncate(sizeBytes: number): Promise<void> {
    await this.#ask('truncateOpen', sizeBytes);
  }

  async chmod(mode: number): Promise<void> {
    await this.#ask('chmodOpen', mode);
  }

  async utimens(access: TimeToSet, modify: TimeToSet): Promise<void> {
    await this.#ask('utimensOpen', String(access), String(modify));
  }

  async link(path: string, directory?: OpenFile): Promise<void> {
    const calls = directory === undefined ? this.calls : this.calls.at(directory);
    await calls.ask('linkOpen', this.descriptor, path);
  }

  async list(cookie: bigint, bufferBytes: number): Promise<Entry[]> {
    const answer = (await this.#ask('list', String(cookie), bufferBytes)) as (Entry & { cookie: string })[];
    return answer.map((entry) => ({ ...entry, cookie: BigInt(entry.cookie) }));
  }

  async sync(): Promise<void> {
    await this.#ask('sync');
  }

  async dropCache(): Promise<void> {
    await this.#ask('dropCache');
  }

  async close(): Promise<void> {
    await this.#ask('close');
  }
}

function descriptorOf(directory: OpenFile): number {
  if (directory instanceof MountFile) return directory.descriptor;
  throw new Error('a directory of another harness');
}

export class MountCalls implements Calls {
  constructor(
    readonly system: SystemCalls,
    readonly user: User,
    readonly quotas: Quotas = NO_QUOTAS,
    readonly base: number | null = null,
  ) {}

  ask(name: string, ...args: unknown[]): Promise<unknown> {
    return this.system.ask(name, this.user, this.base, args);
  }

  as(user: Partial<User>): Calls {
    return new MountCalls(this.system, { ...this.user, ...user }, this.quotas, this.base);
  }

  at(directory: OpenFile): MountCalls {
    return new MountCalls(this.system, this.user, this.quotas, descriptorOf(directory));
  }

  async mkdir(path: string, mode = 0o755): Promise<void> {
    await this.ask('mkdir', path, mode);
  }

  async mknod(path: string, mode: number, device: Device = { major: 0, minor: 0 }): Promise<void> {
    await this.ask('mknod', path, mode, device.major, device.minor);
  }

  async symlink(target: string, path: string): Promise<void> {
    await this.ask('symlink', target, path);
  }

  async readlink(path: string): Promise<string> {
    return String(await this.ask('readlink', path));
  }

  async link(from: string, to: string): Promise<void> {
    await this.ask('link', from, to);
  }

  async unlink(path: string): Promise<void> {
    await this.ask('unlink', path);
  }

  async rmdir(path: string): Promise<void> {
    await this.ask('rmdir', path);
  }

  async rename(from: string, to: string, flags = 0): Promise<void> {
    await this.ask('rename', from, to, flags);
  }

  async renameInto(directory: OpenFile, from: string, to: string): Promise<void> {
    await this.ask('renameInto', descriptorOf(directory), from, to);
  }

  async status(path: string): Promise<Status> {
    return statusOf(await this.ask('status', path, false));
  }

  async statusBehind(path: string): Promise<Status> {
    return statusOf(await this.ask('status', path, true));
  }

  async chmod(path: string, mode: number): Promise<void> {
    await this.ask('chmod', path, mode);
  }

  async chown(path: string, uid: number | undefined, gid: number | undefined): Promise<void> {
    await this.ask('chown', path, uid ?? -1, gid ?? -1);
  }

  async utimens(path: string, access: TimeToSet, modify: TimeToSet): Promise<void> {
    await this.ask('utimens', path, String(access), String(modify));
  }

  async truncate(path: string, sizeBytes: number): Promise<void> {
    await this.ask('truncate', path, sizeBytes);
  }

  async flags(path: string): Promise<number> {
    return Number(await this.ask('flags', path)) & ALL_FLAGS;
  }

  async setFlags(path: string, flags: number): Promise<void> {
    await this.ask('setFlags', path, flags, ALL_FLAGS);
  }

  async open(path: string, access: Access, flags: readonly OpenFlag[] = [], mode = 0o644): Promise<OpenFile> {
    return new MountFile(this, Number(await this.ask('open', path, access, flags, mode)));
  }

  async statfs(): Promise<Space> {
    return (await this.ask('statfs')) as Space;
  }

  async attribute(path: string, name: string): Promise<Buffer> {
    return Buffer.from(String(await this.ask('attribute', path, name)), 'base64');
  }

  async attributes(path: string): Promise<string[]> {
    return ((await this.ask('attributes', path)) as string[]).sort();
  }

  async setAttribute(path: string, name: string, value: Uint8Array, mode: SetMode = 'any'): Promise<void> {
    await this.ask('setAttribute', path, name, Buffer.from(value).toString('base64'), mode);
  }

  async removeAttribute(path: string, name: string): Promise<void> {
    await this.ask('removeAttribute', path, name);
  }

  makeNamed(name: string): Promise<void> {
    return this.mknod(name, Type.regular | 0o644);
  }

  async tick(): Promise<void> {
    await this.ask('tick');
  }

  async now(): Promise<bigint> {
    return BigInt(String(await this.ask('now')));
  }
}
