/**
 * What a module of the user may not do to the daemon's process by mistake: end it, or change what
 * belongs to the mount.
 *
 * `process.exit()` in a policy would take the mount with it, `process.chdir()` may pin another
 * filesystem. While the fence is up, such functions throw, and the error's stack names whoever
 * called. `endProcess` is the program's own way out. Reads, and signals to other processes, pass.
 */

/** Functions of `process` that throw for everybody. */
const FORBIDDEN = [
  'abort',
  'chdir',
  'execve',
  'exit',
  'initgroups',
  'reallyExit',
  'setegid',
  'seteuid',
  'setgid',
  'setgroups',
  'setuid',
] as const;

type ProcessFunction = (...values: unknown[]) => unknown;

/** What stood in `process` before. */
const originals = new Map<string, ProcessFunction>();

function refuse(what: string): never {
  throw new Error(`${what} is not for an allocator to call`);
}

function replace(name: string, make: (original: ProcessFunction) => ProcessFunction): void {
  const original: unknown = Reflect.get(process, name);
  if (typeof original !== 'function') return;
  const before = original.bind(process) as ProcessFunction;
  originals.set(name, original as ProcessFunction);
  Reflect.set(process, name, make(before));
}

/** A signal to this process or to its group, or to everybody. 0 only asks whether it is there. */
function strikesUs(pid: unknown, signal: unknown): boolean {
  return signal !== 0 && (Number(pid) === process.pid || Number(pid) <= 0);
}

/** Puts the fence up; once is enough. */
export function fenceProcess(): void {
  if (originals.size > 0) return;
  for (const name of FORBIDDEN) replace(name, () => () => refuse(`process.${name}()`));
  replace('umask', (umask) => (...masks) => {
    return masks.length === 0 || masks[0] === undefined ? umask() : refuse('process.umask(mask)');
  });
  replace('kill', (kill) => (pid, signal) => {
    return strikesUs(pid, signal) ? refuse('process.kill() of the daemon') : kill(pid, signal);
  });
}

/** Takes it down. */
export function unfenceProcess(): void {
  for (const [name, original] of originals) Reflect.set(process, name, original);
  originals.clear();
}

/** Ends this process, fence or no fence. */
export function endProcess(status?: number): void {
  unfenceProcess();
  process.exit(status);
}
