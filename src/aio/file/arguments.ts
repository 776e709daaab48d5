/**
 * What a program may pass to a file, and what it becomes. What makes no sense is a TypeError or a
 * RangeError with the `code` that Node has for it.
 */
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';

/** It is of the wrong kind. */
export function wrongType(message: string): TypeError {
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_TYPE' });
}

/** It is of the right kind, and none of the values that are known. */
export function wrongValue(message: string): TypeError {
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_VALUE' });
}

/** It is too small, too large, or no integer. */
export function outOfRange(message: string): RangeError {
  return Object.assign(new RangeError(message), { code: 'ERR_OUT_OF_RANGE' });
}

/** The same memory as bytes. @throws TypeError */
export function bytesOf(view: unknown, name = 'bytes'): Uint8Array {
  if (view instanceof Uint8Array) return view;
  if (ArrayBuffer.isView(view)) return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  throw wrongType(`${name} must be a Buffer, a typed array or a DataView, not ${inspect(view)}`);
}

/**
 * A place or a length in bytes, which may be given as a bigint.
 * @throws TypeError, RangeError
 */
export function byteCountOf(name: string, value: unknown, least = 0): number {
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (typeof number !== 'number')
    throw wrongType(`${name} must be a number or a bigint, not ${inspect(value)}`);
  if (!Number.isSafeInteger(number) || number < least)
    throw outOfRange(`${name} must be an integer from ${least} to 2 ** 53 - 1, not ${value}`);
  return number;
}

/** As open(2) takes it, and as text for people. */
export interface FilePath {
  readonly path: string | Buffer;
  readonly text: string;
}

/** @throws TypeError */
export function pathOf(given: unknown): FilePath {
  const path = given instanceof URL ? fileURLToPath(given) : given;
  if (typeof path !== 'string' && !(path instanceof Uint8Array))
    throw wrongType(`path must be a string, a Buffer or a URL, not ${inspect(given)}`);
  const bytes = typeof path === 'string' ? path : Buffer.from(path.buffer, path.byteOffset, path.byteLength);
  if (bytes.includes('\0')) throw wrongValue(`path must be without null bytes, not ${inspect(given)}`);
  return { path: bytes, text: bytes.toString() };
}

/**
 * Refuses an option that nobody knows: it is spelt wrong, and would change nothing.
 * @throws TypeError
 */
export function requireOptions(options: object, known: ReadonlySet<string>): void {
  if (typeof options !== 'object' || options === null)
    throw wrongType(`options must be an object, not ${inspect(options)}`);
  for (const name in options) {
    if (!known.has(name)) throw wrongValue(`options have no '${name}', but ${[...known].join(', ')}`);
  }
}
