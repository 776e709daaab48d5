/**
 * The `-o` options of a mount: what `mount.quarry` and `quarry mount` accept.
 *
 * `parseMountOptions` takes the texts as they stand on the command line and in fstab, and gives a
 * typed object. What nobody knows is one clear error, so that a misspelt option never mounts with
 * less than was asked for. Which options there are stands in four tables: generic-options.ts,
 * fuse-options.ts, volume-options.ts, record-options.ts.
 */
import { type FuseOptions, fuseRules } from './fuse-options.ts';
import { type GenericOptions, genericRules } from './generic-options.ts';
import { MountFlag } from './mount-flags.ts';
import { MountOptionError } from './mount-option-error.ts';
import type { OptionRules } from './option-rule.ts';
import { OPTION_LIMITS } from './option-values.ts';
import { type RecordOptions, recordRules } from './record-options.ts';
import {
  ALLOCATOR_PREFIX,
  applyAllocatorOption,
  type VolumeMountOptions,
  volumeRules,
} from './volume-options.ts';

export interface MountOptions extends GenericOptions, FuseOptions, VolumeMountOptions, RecordOptions {
  /** Whether `MountFlag.readOnly` is among the flags. */
  readOnly: boolean;
}

const rules: OptionRules<MountOptions> = { ...genericRules, ...fuseRules, ...volumeRules, ...recordRules };

/** Names of all options but those of the allocator and of fstab alone, for what documents them. */
export const OPTION_NAMES: readonly string[] = Object.keys(rules);

/**
 * Options in a text, split at commas; `\,` and `\\` stand for themselves, as in mount(8) and
 * libfuse.
 */
export function splitOptions(text: string): string[] {
  const options: string[] = [];
  let option = '';
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '\\' && at + 1 < text.length) option += text.charAt(++at);
    else if (character === ',') {
      options.push(option);
      option = '';
    } else option += character;
  }
  options.push(option);
  return options.filter((found) => found !== '');
}

function applyOption(options: MountOptions, option: string): void {
  const equals = option.indexOf('=');
  const name = equals < 0 ? option : option.slice(0, equals);
  const value = equals < 0 ? undefined : option.slice(equals + 1);
  if (/^x-/i.test(name)) return;
  if (name.startsWith(ALLOCATOR_PREFIX)) {
    applyAllocatorOption(options, name.slice(ALLOCATOR_PREFIX.length), value);
    return;
  }
  const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
  if (rule === undefined) {
    throw new MountOptionError(
      `unknown mount option '${option}': 'quarry mount --help' lists those there are`,
    );
  }
  if (rule.value === 'needed' && (value === undefined || value === '')) {
    throw new MountOptionError(`mount option '${name}' needs a value: ${name}=…`);
  }
  if (rule.value === 'none' && value !== undefined) {
    throw new MountOptionError(`mount option '${name}' takes no value`);
  }
  rule.apply(options, value ?? '');
}

/**
 * Applies the texts of `-o` options, in order.
 * @throws MountOptionError with one line for the user
 */
export function applyMountOptions(options: MountOptions, texts: readonly string[]): void {
  for (const text of texts) {
    for (const option of splitOptions(text)) applyOption(options, option);
  }
}

/**
 * Reads the texts of all `-o` options, in order; later ones win.
 *
 * @param texts each a comma-separated list.
 * @param asRoot whether the mount is made by root, whose mounts are open to everybody, as ext4's
 * are, but not those of fuse-native.
 * @throws MountOptionError with one line for the user.
 */
export function parseMountOptions(texts: readonly string[], asRoot: boolean): MountOptions {
  const options: MountOptions = {
    flags: 0,
    readOnly: false,
    allowOther: false,
    fsname: undefined,
    subtype: 'quarry',
    maxReadBytes: OPTION_LIMITS.maxReadBytes.otherwise,
    spinNanoseconds: OPTION_LIMITS.spinNanoseconds.otherwise,
    cacheBytes: OPTION_LIMITS.cacheBytes.otherwise,
    layer: 'native',
    loop: false,
    debug: undefined,
    engine: 'aio',
    allocator: undefined,
    allocatorOptions: {},
    commitSeconds: OPTION_LIMITS.commitSeconds.otherwise,
    reserved: { bytes: 0, share: 0 },
    discard: false,
    attributes: true,
    acl: true,
    userAttributes: true,
    directoryGroups: false,
    quota: true,
    expectedQuotas: [],
    recovery: true,
    record: undefined,
    recordHashNames: false,
    recordOverwrite: false,
  };
  applyMountOptions(options, texts);
  options.readOnly = (options.flags & MountFlag.readOnly) !== 0;
  // libfuse 2 does not say who calls: what others make would belong to root.
  if (asRoot && options.layer === 'native') options.allowOther = true;
  // Nor does the kernel then judge by ACLs.
  if (options.layer !== 'native') options.acl = false;
  if (!options.attributes) options.acl = options.userAttributes = false;
  if (!options.recovery && !options.readOnly) {
    throw new MountOptionError(
      'norecovery needs ro: a volume whose journal is left out can only be looked at',
    );
  }
  expectRecordable(options);
  expectLoop(options, asRoot);
  return options;
}

/** @throws MountOptionError */
function expectLoop({ loop, layer }: MountOptions, asRoot: boolean): void {
  if (loop && !asRoot) throw new MountOptionError('only root can make loop devices: mount without loop');
  if (loop && layer !== 'native')
    throw new MountOptionError(`a mount of layer=${layer} has nothing of a loop device: mount without loop`);
}

/** @throws MountOptionError */
function expectRecordable({ record, recordHashNames, recordOverwrite, layer }: MountOptions): void {
  if (record === undefined && (recordHashNames || recordOverwrite))
    throw new MountOptionError('record-hash-names and record-overwrite need record=FILE');
  if (record !== undefined && layer !== 'native')
    throw new MountOptionError(`a mount of layer=${layer} cannot be recorded`);
}
