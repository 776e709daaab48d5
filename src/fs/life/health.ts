/** Why a volume became read-only, in words. */

/** What is in memory is in doubt, since an operation could be neither ended nor taken back. */
export class BrokenTransactionError extends Error {
  constructor(thrown: unknown) {
    super(`an operation could not be undone: ${thrown instanceof Error ? thrown.message : String(thrown)}`, {
      cause: thrown,
    });
  }
}

/**
 * What ended the commits: the error of the device, unless it was one of ours. Empty if nothing did.
 */
export function failureInWords(failure: Error | undefined): string {
  if (failure === undefined) return '';
  if (failure instanceof BrokenTransactionError) return failure.message;
  return `writing to the device failed (${failure.message})`;
}
