/**
 * Descriptors that a daemon was born with. Whoever mounted may have held a lock or one end of a
 * pipe by them, and a daemon that keeps them open keeps both for as long as it lives.
 *
 * What this process has opened itself is closed on exec; what is not was handed down.
 */
import { closeSync, readdirSync, readFileSync } from 'node:fs';

/** O_CLOEXEC, as fdinfo shows it. */
const CLOSE_ON_EXEC = 0o2000000;

function isInherited(descriptor: number): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'latin1'))?.[1];
  return flags !== undefined && (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
}

/** Closes those above the one given. Without /proc they stay. */
export function closeInherited(above: number): void {
  let descriptors: number[];
  try {
    descriptors = readdirSync('/proc/self/fd').map(Number);
  } catch {
    return;
  }
  for (const descriptor of descriptors.filter((found) => found > above)) {
    try {
      if (isInherited(descriptor)) closeSync(descriptor);
    } catch {
      // The listing itself, closed by now.
    }
  }
}
