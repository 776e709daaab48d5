/** `quarry mkfs`: makes a volume on a block device or image file (making.ts). */
import { existsSync, statSync } from 'node:fs';
import type { Device } from '../aio/device.ts';
import { printable } from '../common/printable.ts';
import { plural } from '../common/words.ts';
import { defaultFeatures, FEATURES, featuresByList } from '../fs/format/features.ts';
import { DEFAULT_BLOCK_BYTES } from '../fs/format/format.ts';
import type { Layout } from '../fs/format/layout.ts';
import { formatUuid } from '../inspect/value-text.ts';
import { absolutePath, pathBytes, realPathOf, systemPath } from '../path-bytes.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  optionList,
  optionText,
  printJson,
  say,
  type Terminal,
} from './command.ts';
import { CommandError, targetError, UsageError } from './failure.ts';
import type { VolumeFilling } from './filling.ts';
import { makeVolume, randomUuid, requireLabel, type VolumePlan } from './making.ts';
import { ProgressBar } from './progress.ts';
import { formatSize, parseSize } from './sizes.ts';
import { inspectTarget } from './target.ts';
import { parseUuid } from './uuids.ts';
import { engineFor, type StorageEngine, USUAL_ENGINE } from './volume-storage.ts';

export interface MkfsRequest extends VolumePlan {
  readonly target: string;
  readonly force: boolean;
  /** A block device keeps what it held where nothing is written. */
  readonly keepBlocks: boolean;
  /** Directory that it gets the files of. */
  readonly from: string | undefined;
  /** It was said, and is not random. */
  readonly hasOwnUuid: boolean;
  readonly json: boolean;
  readonly quiet: boolean;
}

/** @throws UsageError for a name that is none */
function requestedFeatures(lists: readonly string[]): ReadonlySet<string> {
  try {
    return lists.length === 0 ? defaultFeatures() : featuresByList(lists.join(','));
  } catch (thrown) {
    if (thrown instanceof RangeError)
      throw new UsageError(`--features: ${thrown.message}`, { cause: thrown });
    throw thrown;
  }
}

/** Judges the command line. @throws UsageError */
export function mkfsRequest(args: readonly string[], options: OptionValues): MkfsRequest {
  const size = optionText(options, 'size');
  const block = optionText(options, 'blockSize');
  const journal = optionText(options, 'journalSize');
  const uuid = optionText(options, 'uuid');
  const label = optionText(options, 'label') ?? '';
  requireLabel(label);
  return {
    target: argumentAt(args, 0),
    sizeBytes: size === undefined ? undefined : parseSize(size, '--size'),
    blockBytes: block === undefined ? DEFAULT_BLOCK_BYTES : parseSize(block, '--block-size'),
    journalBytes: journal === undefined ? undefined : parseSize(journal, '--journal-size'),
    label,
    uuid: uuid === undefined ? randomUuid() : parseUuid(uuid),
    features: requestedFeatures(optionList(options, 'features')),
    force: optionGiven(options, 'force') || optionGiven(options, 'F'),
    keepBlocks: optionGiven(options, 'nodiscard'),
    from: optionText(options, 'from'),
    hasOwnUuid: uuid !== undefined,
    json: optionGiven(options, 'json'),
    quiet: optionGiven(options, 'quiet'),
  };
}

/** Where it is, if the name is a link. @throws CommandError */
function directoryNamed(name: string): string {
  try {
    const directory = realPathOf(name);
    if (statSync(systemPath(directory)).isDirectory()) return directory;
  } catch (thrown) {
    throw targetError(thrown, name);
  }
  throw new CommandError(`${name} is no directory`);
}

/** @throws CommandError, UsageError */
async function fillingOf({ from, target }: MkfsRequest): Promise<VolumeFilling | undefined> {
  if (from === undefined) return undefined;
  // All that reads and writes files in volumes: few volumes are made with any.
  const { sourceDateEpoch, VolumeFilling } = await import('./filling.ts');
  return new VolumeFilling(
    pathBytes(directoryNamed(from)),
    absolutePath(target),
    sourceDateEpoch(process.env.SOURCE_DATE_EPOCH),
  );
}

/** An image that is not there yet will be a file. @throws CommandError, as for any other target */
function engineAt(path: string): StorageEngine {
  return existsSync(systemPath(path)) ? engineFor(inspectTarget(path)) : USUAL_ENGINE;
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const request = mkfsRequest(args, options);
  const path = absolutePath(request.target);
  const { force, keepBlocks } = request;
  const filling = await fillingOf(request);
  const tellFailures = () => {
    for (const line of filling?.failures ?? []) say(terminal, line);
  };
  const planning = filling?.planned(request, request.hasOwnUuid ? request.uuid : undefined);
  const plan = (await planning?.finally(tellFailures)) ?? request;
  const isSilent = request.quiet || request.json || !terminal.interactive;
  const bar = isSilent ? undefined : new ProgressBar(terminal);
  const made = (files: number) => bar?.count(plural(files, 'file'));
  const fill = filling && ((device: Device) => filling.fill(device, request.target, made));
  const progress = (done: number, total: number) => bar?.update('discarding', done, total);
  const making = { force, keepBlocks, engine: engineAt(path), fill, progress };
  const layout = await makeVolume(path, request.target, plan, making).finally(() => {
    bar?.clear();
    tellFailures();
  });
  for (const line of filling?.passed ?? []) say(terminal, line);
  const [lost] = filling?.lost ?? [];
  if (lost !== undefined) say(terminal, `not kept: ${lost}`);
  if (request.json) printJson(terminal, report({ ...request, ...plan }, path, layout));
  else if (!request.quiet) terminal.out(summary({ ...request, ...plan }, layout));
  return 0;
}

function report(request: MkfsRequest, path: string, layout: Layout): Record<string, unknown> {
  return {
    target: path,
    uuid: formatUuid(request.uuid),
    label: request.label,
    features: [...request.features],
    blockBytes: layout.blockBytes,
    blockCount: layout.blockCount,
    journalBlocks: layout.journalBlocks,
    sizeBytes: layout.blockCount * layout.blockBytes,
  };
}

function summary(request: MkfsRequest, layout: Layout): string {
  const size = formatSize(layout.blockCount * layout.blockBytes);
  const journal = formatSize(layout.journalBlocks * layout.blockBytes);
  const label = request.label === '' ? '' : `, label '${request.label}'`;
  return (
    `${printable(request.target)}: a Quarry volume of ${size}, ${layout.blockCount} blocks of ${layout.blockBytes} bytes, ` +
    `journal ${journal}${label}\nid ${formatUuid(request.uuid)}\n`
  );
}

export const mkfsCommand: CommandDefinition = {
  name: 'mkfs',
  summary: 'make a volume on a block device or image file',
  arguments: [{ name: 'target', text: 'block device, or image file (made if missing and --size is given)' }],
  options: [
    { flags: '-s, --size <size>', text: 'size of the volume, such as 1G; by default all of the target' },
    { flags: '-b, --block-size <size>', text: 'block size, a power of two from 1K to 64K (default 4K)' },
    { flags: '-L, --label <label>', text: 'label, up to 64 bytes' },
    { flags: '-U, --uuid <uuid>', text: 'id of the volume; by default a random one' },
    {
      flags: '-J, --journal-size <size>',
      text: 'size of the journal, rounded down to a power of two blocks; by default 1/64 of the volume, 64M at most',
    },
    {
      flags: '-O, --features <list>',
      repeated: true,
      text: `features, or ^ and one that is not wanted, such as ^unwritten; there are: ${FEATURES.map(({ name }) => name).join(', ')}`,
    },
    {
      flags: '-d, --from <directory>',
      text: 'fill it with all that is in the directory, with owners, times, links and attributes',
    },
    { flags: '-f, --force', text: 'overwrite what the target holds' },
    { flags: '-F', text: 'the same as --force', hidden: true },
    {
      flags: '-K, --nodiscard',
      text: 'do not tell a block device that all it holds is of no use any more',
    },
    { flags: '-q, --quiet', text: 'say nothing' },
    JSON_OPTION,
  ],
  notes: `A target that holds a known filesystem or partition table, or is behind a loop device, is refused unless --force
is given. One that is mounted or held open by someone else is always refused. Nothing is written before everything
has been checked. With --from, what cannot be copied is told, all of it, and is an error: a new image is taken away
then, a target that was there has the rest. With --from and SOURCE_DATE_EPOCH in the environment, a new image is the
same bit for bit as often as it is made.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
