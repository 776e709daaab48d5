/** What was thrown, whatever it is. */

/** The code of a system call's error, such as 'EBUSY'; '' for any other. */
export function codeOf(thrown: unknown): string {
  return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
}

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/**
 * For `import('…').catch(rethrow)` of a package that need not be there: bundlers put up with its
 * absence where they see that somebody does.
 */
export function rethrow(thrown: unknown): never {
  throw thrown;
}
