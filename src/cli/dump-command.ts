/**
 * `quarry dump`: the inspector. Shows what stands on disk, record by record, as docs/FORMAT.md
 * describes it; writes nothing.
 */
import type { Device } from '../aio/device.ts';
import { inodeAtPath } from '../inspect/inode-at-path.ts';
import { InspectError } from '../inspect/inspect-error.ts';
import { pathBytes } from '../path-bytes.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  printJson,
  say,
  type Terminal,
} from './command.ts';
import { type Shown, SUBJECT_NAMES, SUBJECTS, showSuperblocks } from './dump-subjects.ts';
import { CommandError, UsageError } from './failure.ts';
import { commit } from './measured-volume.ts';
import { viewAsMounted } from './mounted-view.ts';
import { namedVolume } from './named-place.ts';
import type { Target } from './target.ts';
import { readVolumeHead } from './volume-head.ts';
import { openForReading } from './volume-storage.ts';

interface DumpRequest {
  readonly subject: string;
  /** An inode by its path in the volume. */
  readonly number: number | string;
}

/** Of a file in the volume. */
function isPath(word: string): boolean {
  return word.startsWith('/');
}

/** Judges the words after the target. @throws UsageError */
export function dumpRequest(subject: string, number: string | undefined): DumpRequest {
  if (isPath(subject)) {
    if (number === undefined) return { subject: 'inode', number: subject };
    throw new UsageError(`a path is all that is to be said: leave out '${number}'`);
  }
  if (!SUBJECT_NAMES.includes(subject)) {
    throw new UsageError(
      `'${subject}' cannot be shown: say one of ${SUBJECT_NAMES.join(', ')}, or a path from / on`,
    );
  }
  const meaning = SUBJECTS[subject]?.number;
  if (meaning === undefined) {
    if (number !== undefined) throw new UsageError(`'${subject}' takes no number: leave out '${number}'`);
    return { subject, number: 0 };
  }
  if (number === undefined)
    throw new UsageError(`say which ${meaning}: 'quarry dump TARGET ${subject} NUMBER'`);
  if (isPath(number) && meaning === 'inode') return { subject, number };
  if (!/^\d{1,15}$/.test(number))
    throw new UsageError(`'${number}' is not the number of ${meaning === 'inode' ? 'an inode' : 'a block'}`);
  return { subject, number: Number(number) };
}

async function show(target: Target, request: DumpRequest, terminal: Terminal): Promise<Shown> {
  const device = await openForReading(target);
  try {
    return await showFrom(device, target, request, terminal);
  } catch (thrown) {
    throw thrown instanceof InspectError ? new CommandError(thrown.message, { cause: thrown }) : thrown;
  } finally {
    await device.close();
  }
}

async function showFrom(
  device: Device,
  target: Target,
  { subject, number }: DumpRequest,
  terminal: Terminal,
): Promise<Shown> {
  const found = SUBJECTS[subject];
  if (found === undefined) return showSuperblocks(device);
  readVolumeHead(target);
  const { source, journalFault } = await viewAsMounted(device);
  if (journalFault !== undefined) {
    say(terminal, `${target.path} is shown as it is on disk: ${journalFault}`);
  }
  return found.show(
    source,
    typeof number === 'number' ? number : await inodeAtPath(source, pathBytes(number)),
  );
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const request = dumpRequest(argumentAt(args, 1), args[2]);
  const { target, mount } = await namedVolume(argumentAt(args, 0));
  // A name is what the mount shows now; a number is a place on the disk, left as it is.
  if (mount !== undefined && typeof request.number === 'string') await commit(mount, terminal);
  const { text, data } = await show(target, request, terminal);
  if (optionGiven(options, 'json')) printJson(terminal, { target: target.path, ...data });
  else terminal.out(text);
  return 0;
}

export const dumpCommand: CommandDefinition = {
  name: 'dump',
  summary: 'show what stands on disk, record by record',
  arguments: [
    { name: 'target', text: 'block device, image file, or where it is mounted' },
    { name: 'subject', text: `${SUBJECT_NAMES.join(', ')}; or the path of a file in the volume, from / on` },
    { name: 'number', text: 'which inode or directory (its number, or a path), or block', optional: true },
  ],
  options: [JSON_OPTION],
  notes:
    'A volume that was not unmounted in order is shown as a mount would see it, its journal replayed in memory.\nA path is not followed through symbolic links. Where the volume is mounted, it is committed before a path is looked for.\nNothing is written. docs/FORMAT.md says what the fields mean.',
  usageStatus: 2,
  failureStatus: 1,
  run,
};
