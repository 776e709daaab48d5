/**
 * A volume as a program has it: the functions of `fs.promises`, and a few more.
 *
 *   const volume = await openVolume('v.img');
 *   await volume.writeFile('/a.txt', 'hello');
 *   await volume.close();
 *
 * Paths begin at the root of the volume. The functions may be taken out of it, as those of
 * `fs.promises` may. What they do stands in the files beside this one.
 */
import {
  encodingOf,
  modeOf,
  openFlags,
  optionsOf,
  signalOf,
  textOfPath,
  throwIfAborted,
  type VolumePath,
} from './arguments.ts';
import { namedPath } from './attribute-calls.ts';
import { decoded, type FileContent, readToEnd, requireContent, writeAll } from './contents.ts';
import { type ReadFileOptions, VolumeFileHandle, type WriteFileOptions } from './file-handle.ts';
import { NameCalls } from './name-calls.ts';
import { type OpenNode, openNode } from './open-node.ts';
import type { ProgramSession } from './session.ts';
import {
  type ReadStreamOptions,
  VolumeReadStream,
  VolumeWriteStream,
  type WriteStreamOptionsOfVolume,
} from './streams.ts';

export interface OpeningOptions {
  /** Of open(2), as a word of Node's or a number. */
  flag?: string | number | undefined;
  /** Of a new file, before the umask. */
  mode?: number | string | undefined;
}

const DEFAULT_MODE = 0o666;

/** Whoever takes a function of the object along, takes the object along. */
function bindAll(object: object): void {
  for (
    let kind = Object.getPrototypeOf(object);
    kind !== Object.prototype;
    kind = Object.getPrototypeOf(kind)
  ) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(kind))) {
      if (typeof value !== 'function' || name === 'constructor' || Object.hasOwn(object, name)) continue;
      Object.defineProperty(object, name, { value: value.bind(object), writable: true, configurable: true });
    }
  }
}

export class ProgramVolume extends NameCalls {
  readonly label: string;
  /** As uuidgen prints it. */
  readonly uuid: string;
  readonly blockBytes: number;

  constructor(session: ProgramSession, uuid: string) {
    super(session);
    this.label = session.volume.label;
    this.uuid = uuid;
    this.blockBytes = session.volume.blockBytes;
    bindAll(this);
  }

  /** It takes no changes: it was opened so, or its device failed. */
  get readOnly(): boolean {
    return this.session.volume.readOnly;
  }

  /** open(2). @param flags a word of Node's ('r', 'w+', 'ax', …) or a number of `fs.constants` */
  async open(
    path: VolumePath,
    flags: string | number = 'r',
    mode?: number | string | null,
  ): Promise<VolumeFileHandle> {
    return new VolumeFileHandle(await this.#open(path, flags, mode));
  }

  async #open(path: VolumePath, flags: unknown, mode: unknown): Promise<OpenNode> {
    const request = { ...namedPath(path), flags: openFlags(flags), mode: modeOf(mode, DEFAULT_MODE) };
    return openNode(this.session, request);
  }

  readFile(
    path: VolumePath | VolumeFileHandle,
    options?: (ReadFileOptions & OpeningOptions & { encoding?: null | undefined }) | null,
  ): Promise<Buffer>;
  readFile(
    path: VolumePath | VolumeFileHandle,
    options: (ReadFileOptions & OpeningOptions & { encoding: BufferEncoding }) | BufferEncoding,
  ): Promise<string>;
  readFile(
    path: VolumePath | VolumeFileHandle,
    options?: (ReadFileOptions & OpeningOptions) | BufferEncoding | null,
  ): Promise<Buffer | string>;
  async readFile(
    path: VolumePath | VolumeFileHandle,
    options?: (ReadFileOptions & OpeningOptions) | BufferEncoding | null,
  ): Promise<Buffer | string> {
    if (path instanceof VolumeFileHandle) return path.readFile(options);
    const { encoding, flag, signal } = optionsOf<ReadFileOptions & OpeningOptions>(options);
    const wanted = encodingOf(encoding);
    const abort = signalOf(signal);
    const node = await this.#open(path, flag, undefined);
    try {
      return decoded(await readToEnd(node, abort), wanted);
    } finally {
      await node.close();
    }
  }

  /** Makes the file, or replaces what is in it. */
  async writeFile(
    path: VolumePath | VolumeFileHandle,
    data: FileContent,
    options?: (WriteFileOptions & OpeningOptions) | BufferEncoding | null,
  ): Promise<void> {
    await this.#write(path, data, options, 'w');
  }

  /** Makes the file, or writes behind what is in it. */
  async appendFile(
    path: VolumePath | VolumeFileHandle,
    data: FileContent,
    options?: (WriteFileOptions & OpeningOptions) | BufferEncoding | null,
  ): Promise<void> {
    await this.#write(path, data, options, 'a');
  }

  async #write(
    path: VolumePath | VolumeFileHandle,
    data: FileContent,
    options: (WriteFileOptions & OpeningOptions) | BufferEncoding | null | undefined,
    usualFlag: string,
  ): Promise<void> {
    const given = optionsOf<WriteFileOptions & OpeningOptions>(options);
    const { encoding, flush, flag = usualFlag, mode } = given;
    requireContent(data);
    encodingOf(encoding);
    const signal = signalOf(given.signal);
    if (path instanceof VolumeFileHandle) return path.writeFile(data, options);
    throwIfAborted(signal);
    const node = await this.#open(path, flag, mode);
    try {
      await writeAll(node, data, { encoding, signal, flush });
    } finally {
      await node.close();
    }
  }

  /** As `fs.createReadStream`. */
  createReadStream(
    path: VolumePath,
    options: ReadStreamOptions & { flags?: string | undefined } = {},
  ): VolumeReadStream {
    const open = () => this.#open(path, options.flags, undefined);
    return new VolumeReadStream(open, options, textOfPath(path));
  }

  /** As `fs.createWriteStream`. */
  createWriteStream(
    path: VolumePath,
    options: WriteStreamOptionsOfVolume & { flags?: string | undefined; mode?: number | undefined } = {},
  ): VolumeWriteStream {
    const open = () => this.#open(path, options.flags ?? 'w', options.mode);
    return new VolumeWriteStream(open, options, textOfPath(path));
  }

  /** All that was done before is durable when it resolves. @throws what any write met */
  sync(): Promise<void> {
    return this.session.attempt({ syscall: 'sync' }, () => this.session.volume.sync());
  }

  /**
   * Closes what is open in it, writes everything and lets go of the device. Idempotent. Without it,
   * what was done in the last seconds may be lost, as in a crash.
   * @throws the error of the device, or of writes that nobody heard of
   */
  close(): Promise<void> {
    return this.session.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
