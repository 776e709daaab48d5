/**
 * `quarry tune`: changes what the superblock of a volume says: label, id, mount options, features.
 *
 * A volume that is not mounted is opened as for a mount, and so says of itself that it is in use
 * until the superblock and its backups are written: after a crash the next mount makes them equal.
 */
import { statSync } from 'node:fs';
import { checkVolume } from '../check/checker.ts';
import { printable } from '../common/printable.ts';
import { FEATURES } from '../fs/format/features.ts';
import { MAX_STORED_OPTIONS_BYTES } from '../fs/format/format.ts';
import type { SuperblockChanges } from '../fs/format/superblock.ts';
import { MountOptionError } from '../fuse/mount-option-error.ts';
import type { MountRecord } from '../fuse/mount-table.ts';
import { parseMountOptions } from '../fuse/options.ts';
import { systemPath } from '../path-bytes.ts';
import { askMount } from './ask-mount.ts';
import {
  argumentAt,
  type CommandDefinition,
  type OptionValues,
  optionList,
  optionText,
  say,
  type Terminal,
} from './command.ts';
import { CommandError, UsageError } from './failure.ts';
import { randomUuid, requireLabel } from './making.ts';
import { requireMount } from './mountpoint.ts';
import { withVolume } from './quota-target.ts';
import { mountOf } from './storage-hold.ts';
import { optionName, STORABLE } from './stored-options.ts';
import { inspectTarget, type Target } from './target.ts';
import { encodeTuning } from './tuning.ts';
import { parseUuid } from './uuids.ts';
import { readVolumeHead } from './volume-head.ts';
import { openForReading } from './volume-storage.ts';

export interface TuneRequest {
  readonly changes: Omit<SuperblockChanges, 'features'>;
  /** Names of features to be had, and no more. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** Judges the command line. @throws UsageError, MountOptionError */
export function tuneRequest(options: OptionValues): TuneRequest {
  const label = optionText(options, 'label');
  const uuid = optionText(options, 'uuid');
  const mountOptions = optionText(options, 'options');
  if (label !== undefined) requireLabel(label);
  if (mountOptions !== undefined) requireStorable(mountOptions);
  const changes = {
    ...(label !== undefined && { label: Buffer.from(label) }),
    ...(uuid !== undefined && { shownUuid: shownUuid(uuid) }),
    ...(mountOptions !== undefined && { mountOptions: Buffer.from(mountOptions) }),
  };
  const words = optionList(options, 'features').flatMap((list) => list.split(','));
  for (const word of words) requireFeature(word.replace(/^\^/, ''));
  if (Object.keys(changes).length === 0 && words.length === 0)
    throw new UsageError('say what is to be changed: --label, --uuid, --options or --features');
  return {
    changes,
    added: words.filter((word) => !word.startsWith('^')),
    removed: words.filter((word) => word.startsWith('^')).map((word) => word.slice(1)),
  };
}

function shownUuid(text: string): Uint8Array {
  if (text === 'random') return randomUuid();
  return text === 'original' ? new Uint8Array(16) : parseUuid(text);
}

function requireStorable(list: string): void {
  if (list === '') return;
  if (Buffer.byteLength(list) > MAX_STORED_OPTIONS_BYTES)
    throw new UsageError(`--options has more than ${MAX_STORED_OPTIONS_BYTES} bytes`);
  for (const option of list.split(',')) {
    if (!STORABLE.has(optionName(option)))
      throw new UsageError(
        `--options: a volume cannot ask for '${option}', only for ${[...STORABLE].join(', ')}`,
      );
  }
  try {
    parseMountOptions([list], true);
  } catch (thrown) {
    if (thrown instanceof MountOptionError)
      throw new UsageError(`--options: ${thrown.message}`, { cause: thrown });
    throw thrown;
  }
}

function requireFeature(name: string): void {
  const names = FEATURES.map((feature) => feature.name).filter((known) => known !== 'quota');
  if (name === 'quota') throw new UsageError("--features: 'quarry quota on' and 'off' count what there is");
  if (!names.includes(name))
    throw new UsageError(`--features: there is no feature '${name}': known are ${names.join(', ')}`);
}

function isDirectory(name: string): boolean {
  try {
    return statSync(systemPath(name)).isDirectory();
  } catch {
    return false;
  }
}

async function tuneMounted(mount: MountRecord, { changes, added, removed }: TuneRequest): Promise<void> {
  if (added.length + removed.length > 0)
    throw new CommandError(`${mount.directory} is mounted: features are changed while it is not`);
  await askMount(mount, 'tune', { payload: encodeTuning(changes) });
}

/** What uses a feature must be gone before it is. @throws CommandError */
async function requireUnused(target: Target, removed: readonly string[]): Promise<void> {
  const { state } = readVolumeHead(target);
  if (state !== 'clean')
    throw new CommandError(`${target.path} was not unmounted in order: mount it, or 'quarry fsck -y', first`);
  const device = await openForReading(target);
  try {
    const { problems } = await checkVolume(device, { withoutFeatures: new Set(removed) });
    const [first] = problems;
    if (first !== undefined)
      throw new CommandError(
        `${target.path} uses what is to be taken away, or is damaged: without ${removed.join(', ')} fsck would say: ${first.message}`,
      );
  } finally {
    await device.close();
  }
}

async function tuneTarget(target: Target, { changes, added, removed }: TuneRequest): Promise<void> {
  const { features, mountCount } = readVolumeHead(target);
  if (removed.some((name) => features.includes(name))) await requireUnused(target, removed);
  const names = [...features.filter((name) => !removed.includes(name)), ...added];
  const isOther = added.length + removed.length > 0;
  await withVolume(target, true, async (volume) => {
    // Only now nobody else can open it: what was seen must be what is there.
    if (isOther && readVolumeHead(target).mountCount !== mountCount + 1)
      throw new CommandError(`${target.path} was mounted meanwhile: nothing was changed, try again`);
    await volume.whole.tune({ ...changes, ...(isOther && { features: new Set(names) }) });
  });
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const request = tuneRequest(options);
  const name = argumentAt(args, 0);
  const target = isDirectory(name) ? undefined : inspectTarget(name);
  const mount = target === undefined ? await requireMount(name) : mountOf(target);
  if (mount !== undefined) await tuneMounted(mount, request);
  else if (target !== undefined) await tuneTarget(target, request);
  say(terminal, `${printable(name)} is changed`);
  return 0;
}

export const tuneCommand: CommandDefinition = {
  name: 'tune',
  summary: 'change label, id, mount options and features of a volume',
  arguments: [{ name: 'target', text: 'block device, image file, or where it is mounted' }],
  options: [
    { flags: '-L, --label <label>', text: "label, up to 64 bytes; '' for none" },
    { flags: '-U, --uuid <uuid>', text: "the id that it shows, 'random', or 'original' for that of mkfs" },
    { flags: '-o, --options <list>', text: "mount options that hold where none says otherwise; '' for none" },
    {
      flags: '-O, --features <list>',
      text: 'features to be had, and with ^ not to be had: attributes,^unwritten; not while it is mounted',
      repeated: true,
    },
  ],
  notes: `A feature is taken away only where nothing uses it, for which the whole volume is checked. A volume may ask
for ${[...STORABLE].join(', ')}; what is
said to 'quarry mount' comes behind it, and so counts. Blocks that are reserved for root
(tune2fs -m) are one: -o reserved=5%.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
