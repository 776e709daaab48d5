/**
 * Recording a mount, as its daemon does it: begun at the mount by `-o record=FILE` or by `quarry
 * record`, ended by that command, by a file that cannot be written, or with the mount.
 *
 * A record that a command began ends when nobody has asked for it for a while: the command was
 * killed.
 */
import { performance } from 'node:perf_hooks';
import type { Volume } from '../fs/volume.ts';
import { OperationRecorder } from '../fuse/operation-recorder.ts';
import type { Session } from '../fuse/session.ts';
import { NameHasher } from '../record/hashed-names.ts';
import type { RecordDescription } from '../record/record-format.ts';
import { RecordWriter } from '../record/record-writer.ts';
import { CommandError, failureLine } from './failure.ts';
import type { LogLine } from './mount-log.ts';
import type { OwnMount } from './own-mount.ts';
import { RecordFile } from './record-target.ts';

/** How long a command may be silent. */
const LEASE_MILLISECONDS = 30_000;

/** What `quarry record` says. */
export type RecordQuestion =
  | {
      readonly action: 'begin';
      readonly path: string;
      readonly overwrite: boolean;
      readonly hashNames: boolean;
    }
  /** Of the record that this command began. */
  | { readonly action: 'look' | 'end'; readonly path: string };

/** What it is answered. */
export interface RecordingState {
  readonly path: string;
  readonly isRecording: boolean;
  /** What exists already is still being told. */
  readonly isBeginning: boolean;
  readonly operations: number;
  readonly writtenBytes: number;
  readonly seconds: number;
  /** Why it ended before it was asked to. */
  readonly failure?: string;
}

/** A record under way, or the last one. */
interface Recording {
  readonly path: string;
  readonly writer: RecordWriter;
  readonly recorder: OperationRecorder;
  readonly beganMilliseconds: number;
  isBeginning: boolean;
  endedMilliseconds: number | undefined;
  ended: Promise<void> | undefined;
  /** Of one that a command began: ends it when nobody asks for it any more. */
  lease: NodeJS.Timeout | undefined;
}

interface RecordedMount {
  readonly volume: Volume;
  /** Without `watch` where another layer speaks to the kernel. */
  readonly session: Partial<Pick<Session, 'watch'>>;
  readonly place: OwnMount;
}

export class MountRecording {
  readonly #mount: RecordedMount;
  readonly #log: LogLine;
  #recording: Recording | undefined;
  #isOpening = false;

  constructor(mount: RecordedMount, log: LogLine) {
    this.#mount = mount;
    this.#log = log;
  }

  /** @throws CommandError */
  async answer(payload: string): Promise<RecordingState | null> {
    const question = readQuestion(payload);
    if (question.action === 'begin') await this.#beginFor(question);
    else {
      if (this.#recording !== undefined && this.#recording.path !== question.path)
        throw new CommandError(`${question.path} is not recorded into any more`);
      if (question.action === 'end') await this.end();
      else this.#recording?.lease?.refresh();
    }
    return this.state ?? null;
  }

  /** What anybody may know of it; undefined if nothing was recorded yet. */
  get figures(): Omit<RecordingState, 'path' | 'failure'> | undefined {
    if (this.state === undefined) return undefined;
    const { path: _path, failure: _failure, ...figures } = this.state;
    return figures;
  }

  /** Undefined if nothing was recorded yet. */
  get state(): RecordingState | undefined {
    const recording = this.#recording;
    if (recording === undefined) return undefined;
    const { path, writer, isBeginning, beganMilliseconds, endedMilliseconds } = recording;
    const { operations, writtenBytes, failure } = writer;
    return {
      path,
      isRecording: endedMilliseconds === undefined,
      isBeginning: isBeginning && endedMilliseconds === undefined,
      operations,
      writtenBytes,
      seconds: ((endedMilliseconds ?? performance.now()) - beganMilliseconds) / 1000,
      ...(failure === undefined ? {} : { failure }),
    };
  }

  async #beginFor({ path, overwrite, hashNames }: RecordQuestion & { action: 'begin' }): Promise<void> {
    const { session, place } = this.#mount;
    if (session.watch === undefined)
      throw new CommandError('a mount of layer=fuse-native cannot be recorded');
    const present = this.#recording;
    if (this.#isOpening) throw new CommandError('the mount is about to be recorded already');
    if (present !== undefined && present.endedMilliseconds === undefined)
      throw new CommandError(`the mount is recorded already, into ${present.path}`);
    this.#isOpening = true;
    try {
      const file = await RecordFile.open({ path, overwrite, mountDevice: place.deviceNumbers });
      const recording = await this.begin(file, hashNames);
      if (recording.endedMilliseconds !== undefined) return;
      recording.lease = setTimeout(() => {
        this.#log(`the record ${path} ends: nobody has asked for it for ${LEASE_MILLISECONDS / 1000} s`);
        void this.end();
      }, LEASE_MILLISECONDS).unref();
    } finally {
      this.#isOpening = false;
    }
  }

  /**
   * Resolves when every operation from then on is recorded, or the record has ended.
   * @throws the error of the volume or of the file; then there is no record
   */
  async begin(file: RecordFile, hashNames: boolean): Promise<Recording> {
    const { volume, session } = this.#mount;
    let description: RecordDescription;
    try {
      description = await this.#describe(hashNames);
      await file.settle();
    } catch (thrown) {
      await file.discard();
      throw thrown;
    }
    const writer = new RecordWriter(file, {
      description,
      now: () => performance.now() * 1000,
      failed: (reason) => {
        this.#log(`the record ${file.path} ends here, it cannot be written: ${reason}`);
        // Not from within an operation that is being told.
        setImmediate(() => void this.end());
      },
    });
    const recorder = new OperationRecorder(volume, hashNames ? new NameHasher(writer) : writer);
    const recording: Recording = {
      path: file.path,
      writer,
      recorder,
      beganMilliseconds: performance.now(),
      isBeginning: true,
      endedMilliseconds: undefined,
      ended: undefined,
      lease: undefined,
    };
    this.#recording = recording;
    await session.watch?.(recorder.handlerOf);
    if (recording.endedMilliseconds !== undefined) return recording;
    recorder.tellTree().then(
      () => {
        recording.isBeginning = false;
      },
      (thrown) => {
        this.#log(`the record ${file.path} ends here: ${failureLine(thrown)}`);
        void this.end();
      },
    );
    return recording;
  }

  async #describe(hashNames: boolean): Promise<RecordDescription> {
    const { volume } = this.#mount;
    const space = await volume.space();
    const { blockBytes, blockCount } = volume.layout;
    return {
      blockBytes,
      volumeBytes: blockBytes * blockCount,
      usedBytes: blockBytes * (space.blocks - space.freeBlocks),
      names: hashNames ? 'hashed' : 'plain',
      began: new Date().toISOString(),
    };
  }

  /** Ends the record, if there is one; resolves when it is written. */
  async end(): Promise<void> {
    const recording = this.#recording;
    if (recording === undefined) return;
    clearTimeout(recording.lease);
    if (recording.ended === undefined) {
      recording.endedMilliseconds = performance.now();
      recording.recorder.end();
      void this.#mount.session.watch?.();
      recording.ended = recording.writer.end();
    }
    await recording.ended;
  }
}

function readQuestion(payload: string): RecordQuestion {
  const { action, path, overwrite, hashNames }: Record<string, unknown> = Object(JSON.parse(payload));
  if (typeof path !== 'string' || !path.startsWith('/'))
    throw new CommandError('that is no question about a record');
  if (action === 'look' || action === 'end') return { action, path };
  if (action !== 'begin') throw new CommandError('that is no question about a record');
  return { action, path, overwrite: overwrite === true, hashNames: hashNames === true };
}
