/**
 * Whether a target may be overwritten: the guard before everything that destroys what is there.
 */
import { CommandError } from './failure.ts';
import type { FoundSignature } from './signatures.ts';
import { inspectTarget, loopDeviceOf, mountedOn, signaturesOf, type Target } from './target.ts';

/**
 * Refuses what is in use or of value.
 * @param force what is of value may go; what is mounted never
 * @returns what it holds
 * @throws CommandError
 */
export function requireOverwritable(target: Target, force: boolean): FoundSignature[] {
  const directory = mountedOn(target);
  if (directory !== undefined) {
    throw new CommandError(`${target.path} is mounted on ${directory}: unmount it first`);
  }
  requireNoLoop(target, force);
  const signatures = signaturesOf(target);
  const [first] = signatures;
  if (first && !force) {
    throw new CommandError(`${target.path} holds ${first.name}: use --force to overwrite it`);
  }
  return signatures;
}

/** The image behind a loop device belongs to whoever uses that: what is mounted is never overwritten. */
function requireNoLoop(target: Target, force: boolean): void {
  const loop = loopDeviceOf(target);
  if (loop === undefined) return;
  const directory = mountedOn(inspectTarget(loop));
  if (directory !== undefined) {
    throw new CommandError(
      `${target.path} is behind ${loop}, which is mounted on ${directory}: unmount it first`,
    );
  }
  if (!force) throw new CommandError(`${target.path} is in use by ${loop}: detach that, or use --force`);
}
