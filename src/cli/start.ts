/**
 * The beginning of every command, before anything of size is loaded.
 *
 * Node opens a debugger on a port of localhost when a process gets SIGUSR1, and whoever reaches
 * that port may do there what the process may. So the signal gets a listener that does nothing, in
 * place of Node's. And the limits of the process are raised first of all: under some of them not
 * even the rest of the program can be loaded.
 */

/**
 * Of fsck, 1 means that all was corrected: a command that cannot begin, or not even be loaded, must
 * not say so.
 */
export const FSCK_FAILURE_STATUS = 8;

/**
 * Runs a command line and says what went wrong, if anything.
 * @param words what follows the program's name
 * @returns the exit status
 */
export async function startCommand(words: readonly string[]): Promise<number> {
  process.on('SIGUSR1', () => {});
  const failure = words[0] === 'fsck' ? FSCK_FAILURE_STATUS : 1;
  const refusal = await raisedLimits();
  if (refusal !== undefined) {
    process.stderr.write(`quarry: ${refusal}\n`);
    return failure;
  }
  const { processTerminal, runCommandLine, statusWithOutput } = await import('./program.ts');
  return statusWithOutput(await runCommandLine(words, processTerminal), failure);
}

/**
 * @returns what stands in the way, in one line. An addon that cannot be loaded is the business of
 * the command that needs it
 */
async function raisedLimits(): Promise<string | undefined> {
  let module: typeof import('./raise-limits.ts');
  try {
    module = await import('./raise-limits.ts');
  } catch {
    return undefined;
  }
  return module.raiseLimits();
}
