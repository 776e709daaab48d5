/** How cases of the conformance suite look at errors. */
import { expect } from 'vitest';
import { AioError } from '../../src/aio/file/io-error.ts';

/** What a promise is rejected with. @throws Error if it is not */
export async function rejectionOf(promise: Promise<unknown>, what = 'it'): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (thrown) {
    return thrown;
  }
  throw new Error(`${what} should have been refused, and gave ${String(value)}`);
}

/** The promise is rejected with an AioError of this code, all of whose fields make sense. */
export async function expectRefused(promise: Promise<unknown>, code: string | RegExp): Promise<AioError> {
  const error = await rejectionOf(promise);
  expect(error).toBeInstanceOf(AioError);
  if (!(error instanceof AioError)) throw error;
  expect(error.code).toMatch(code);
  expect(error.errno).toBeLessThan(0);
  expect(error.syscall).not.toBe('');
  expect(error.message).toContain(error.code);
  return error;
}

/** Rejected as an argument that makes no sense: a TypeError or RangeError that says which. */
export async function expectSenseless(promise: Promise<unknown>, says: RegExp, what?: string): Promise<void> {
  const error = await rejectionOf(promise, what);
  expect(error instanceof TypeError || error instanceof RangeError, String(error)).toBe(true);
  expect(String(error)).toMatch(says);
}

/** Like `expectSenseless`, for what throws at once. */
export function expectThrowsSenseless(call: () => unknown): void {
  let thrown: unknown;
  try {
    call();
  } catch (error) {
    thrown = error;
  }
  expect(thrown instanceof TypeError || thrown instanceof RangeError, String(thrown)).toBe(true);
}
