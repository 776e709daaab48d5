/**
 * Whether a target may be overwritten: the guard before everything that destroys what is there.
 * Whoever asks holds its storage.
 */
import { CommandError } from './failure.ts';
import type { FoundSignature } from './signatures.ts';
import { loopsOver } from './storage-hold.ts';
import { signaturesOf, type Target } from './target.ts';

/**
 * Refuses what is of value, unless it may go by `force`.
 * @returns what it holds
 * @throws CommandError
 */
export function requireOverwritable(target: Target, force: boolean): FoundSignature[] {
  const [loop] = force ? [] : loopsOver(target);
  if (loop !== undefined) {
    throw new CommandError(`${target.path} is in use by ${loop}: detach that, or use --force`);
  }
  const signatures = signaturesOf(target);
  const [first] = signatures;
  if (first && !force) {
    throw new CommandError(`${target.path} holds ${first.name}: use --force to overwrite it`);
  }
  return signatures;
}
