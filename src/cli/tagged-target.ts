/**
 * `LABEL=data` and `UUID=…` in the place of a target, as in fstab: looked for on all block devices
 * that the kernel knows. libblkid does not know volumes of Quarry, so this is no question for it.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError } from './failure.ts';
import { inspectTarget } from './target.ts';
import { readVolumeHead } from './volume-head.ts';

const TAG = /^(LABEL|UUID)=(?:"(.*)"|(.*))$/s;

interface Tag {
  readonly kind: 'label' | 'uuid';
  readonly value: string;
}

export function isTag(name: string): boolean {
  return TAG.test(name);
}

function tagOf(name: string): Tag | undefined {
  const found = TAG.exec(name);
  if (found === null) return undefined;
  const value = found[2] ?? found[3] ?? '';
  return found[1] === 'LABEL' ? { kind: 'label', value } : { kind: 'uuid', value: value.toLowerCase() };
}

/** Those that nothing was made of: a path of a multipath device, or a half of a RAID, is not it. */
function blockDevices(): string[] {
  return namesIn('/sys/class/block')
    .filter((name) => namesIn(join('/sys/class/block', name, 'holders')).length === 0)
    .map((name) => join('/dev', name.replaceAll('!', '/')));
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** What is no volume, or cannot be read, is not what is looked for. */
function hasTag(path: string, { kind, value }: Tag): boolean {
  try {
    return readVolumeHead(inspectTarget(path))[kind] === value;
  } catch (thrown) {
    if (thrown instanceof CommandError) return false;
    throw thrown;
  }
}

export function noneHas(name: string): CommandError {
  return new CommandError(`no block device that can be read has a volume of ${name}`);
}

/**
 * The device that a tag names; any other name as it is.
 * @returns undefined if no device has it
 * @throws CommandError if several have
 */
export function withoutTag(name: string, devices = blockDevices): string | undefined {
  const tag = tagOf(name);
  if (tag === undefined) return name;
  const found = devices().filter((path) => hasTag(path, tag));
  const [one, ...others] = found;
  if (one === undefined) return undefined;
  if (others.length > 0)
    throw new CommandError(`several devices have a volume of ${name}: ${found.join(', ')}`);
  return one;
}
