/**
 * What is thrown for arguments that make no sense: the errors of node:fs, with its codes
 * (ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE) and its words.
 */
import { inspect } from 'node:util';

/** It is of the wrong kind. */
export function argumentType(name: string, expected: string, given: unknown): TypeError {
  const error = new TypeError(`The "${name}" argument must be ${expected}. Received ${inspect(given)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' });
}

/** It is of the right kind, and none of the values that are known. */
export function argumentValue(name: string, what: string, given: unknown): TypeError {
  const error = new TypeError(`The argument '${name}' ${what}. Received ${inspect(given)}`);
  return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' });
}

/** A number that is too small, too large, or no integer. */
export function outOfRange(name: string, range: string, given: unknown): RangeError {
  const error = new RangeError(
    `The value of "${name}" is out of range. It must be ${range}. Received ${given}`,
  );
  return Object.assign(error, { code: 'ERR_OUT_OF_RANGE' });
}

/** @throws TypeError, RangeError */
export function integerIn(name: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number') throw argumentType(name, 'of type number', value);
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value);
  if (value < least || value > most) throw outOfRange(name, `>= ${least} && <= ${most}`, value);
  return value;
}

/**
 * Refuses options that nobody knows: most often one is spelt wrong, and would change nothing.
 * @throws TypeError
 */
export function requireKnownOptions(options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null)
    throw argumentType('options', 'of type object', options);
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && !known.includes(name))
      throw argumentValue('options', `has no '${name}': it may have ${known.join(', ')}`, options);
  }
}
