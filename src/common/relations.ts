/**
 * Relations between constants, checked when the file that states them is loaded.
 *
 *   const LIMITS = { LEAST_BYTES, MOST_BYTES };
 *   export const RELATIONS: Relations<typeof LIMITS> = {
 *     'the least is not above the most': (l) => l.LEAST_BYTES <= l.MOST_BYTES,
 *   };
 *   requireRelations(LIMITS, RELATIONS);
 *
 * So whoever changes one number is told which other one it was in step with. The relations take the
 * numbers as an argument, for a test to spoil one and see who notices.
 */
import assert from 'node:assert';

/** By the sentence that says what holds. */
export type Relations<Of> = Readonly<
  Record<string, (limits: { readonly [Name in keyof Of]: number }) => boolean>
>;

/** The sentences of the relations that do not hold. */
export function brokenRelations<Of>(
  limits: { readonly [Name in keyof Of]: number },
  relations: Relations<Of>,
): string[] {
  return Object.keys(relations).filter((sentence) => relations[sentence]?.(limits) === false);
}

/** @throws AssertionError */
export function requireRelations<Of>(
  limits: { readonly [Name in keyof Of]: number },
  relations: Relations<Of>,
): void {
  const broken = brokenRelations(limits, relations);
  assert(
    broken.length === 0,
    `limits that do not fit together: it is not so that ${broken.join(', nor that ')}`,
  );
}

export function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value));
}
