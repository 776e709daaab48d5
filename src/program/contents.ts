/**
 * Whole contents: reading to the end, and writing what a program has, be it text, bytes, or
 * something that yields them.
 */
import { argumentType } from '../common/argument-errors.ts';
import { type Encoding, encodingOf, throwIfAborted } from './arguments.ts';
import type { OpenNode } from './open-node.ts';

/** What a file is read in when its length says nothing, and the most that is asked for at once. */
const CHUNK_BYTES = 4 * 1024 * 1024;

/** What `writeFile` takes. */
export type FileContent =
  | string
  | NodeJS.ArrayBufferView
  | Iterable<string | NodeJS.ArrayBufferView>
  | AsyncIterable<string | NodeJS.ArrayBufferView>;

/** Reads from the position to the end. */
export async function readToEnd(node: OpenNode, signal: AbortSignal | undefined): Promise<Buffer> {
  throwIfAborted(signal);
  const expected = await node.bytesLeft();
  const whole = Buffer.allocUnsafeSlow(expected);
  let done = 0;
  while (done < expected) {
    throwIfAborted(signal);
    const read = await node.read(whole.subarray(done, done + CHUNK_BYTES), undefined);
    if (read === 0) return whole.subarray(0, done);
    done += read;
  }
  return whole;
}

/** Text where an encoding was asked for. */
export function decoded(bytes: Buffer, encoding: Encoding | undefined): Buffer | string {
  return encoding === undefined || encoding === 'buffer' ? bytes : bytes.toString(encoding);
}

/** The bytes of an array of any kind. */
export function viewedBytes(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function isYielding(content: unknown): content is AsyncIterable<unknown> | Iterable<unknown> {
  return (
    content !== null &&
    typeof content === 'object' &&
    (Symbol.asyncIterator in content || Symbol.iterator in content)
  );
}

/** @throws TypeError for what is neither text nor bytes */
function bytesOf(content: unknown, encoding: Encoding | undefined, name: string): Uint8Array {
  if (typeof content === 'string')
    return Buffer.from(content, encoding === undefined || encoding === 'buffer' ? 'utf8' : encoding);
  if (ArrayBuffer.isView(content)) return viewedBytes(content);
  throw argumentType(name, 'of type string or an instance of Buffer, TypedArray, or DataView', content);
}

/** Refuses content that is none before anything is opened. @throws TypeError */
export function requireContent(content: unknown): void {
  if (typeof content !== 'string' && !ArrayBuffer.isView(content) && !isYielding(content))
    bytesOf(content, undefined, 'data');
}

export interface WriteAllOptions {
  readonly encoding?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** Everything is on the device when it ends. */
  readonly flush?: boolean | undefined;
}

/** Writes all of it from the position on. */
export async function writeAll(node: OpenNode, content: unknown, options: WriteAllOptions): Promise<void> {
  const { signal, flush } = options;
  const encoding = encodingOf(options.encoding);
  throwIfAborted(signal);
  if (typeof content !== 'string' && !ArrayBuffer.isView(content) && isYielding(content)) {
    for await (const part of content) {
      throwIfAborted(signal);
      await node.write(bytesOf(part, encoding, 'data'), undefined);
    }
  } else {
    const bytes = bytesOf(content, encoding, 'data');
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      throwIfAborted(signal);
      await node.write(bytes.subarray(at, at + CHUNK_BYTES), undefined);
    }
  }
  if (flush) await node.sync('fsync');
}
