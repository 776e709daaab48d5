/**
 * `quarry tar`: files of a volume that is not mounted as a tar archive on standard output, and the
 * other way round.
 */
import { plural } from '../common/words.ts';
import { FileType } from '../fs/format/format.ts';
import { pathText } from '../path-bytes.ts';
import { membersOf } from '../tar/archive-reader.ts';
import {
  argumentAt,
  type CommandDefinition,
  type OptionValues,
  optionGiven,
  say,
  type Terminal,
} from './command.ts';
import { CommandError, failureLine, UsageError } from './failure.ts';
import { ProgressBar } from './progress.ts';
import { TarPacking } from './tar-packing.ts';
import { TarUnpacking } from './tar-unpacking.ts';
import { type PlaceInVolume, placeError, placeText, volumePath, withVolume } from './volume-path.ts';
import { VolumeTree } from './volume-tree.ts';

/** Status where some names, or what they had, could not be kept. */
const LOSS_STATUS = 1;

/** What is said beside the work, and what comes of it. */
class Told {
  readonly #terminal: Terminal;
  readonly #image: string;
  readonly #bar: ProgressBar | undefined;
  #firstLost: string | undefined;
  #losses = 0;
  #failures = 0;

  constructor(terminal: Terminal, image: string) {
    this.#terminal = terminal;
    this.#image = image;
    this.#bar = terminal.interactive ? new ProgressBar(terminal) : undefined;
  }

  failed(thrown: unknown): void {
    this.#failures++;
    this.#bar?.clear();
    say(this.#terminal, failureLine(placeError(thrown, this.#image)));
  }

  lost(path: Buffer, what: string): void {
    this.#losses++;
    this.#firstLost ??= `${pathText(path)}: ${what}`;
  }

  made(members: number): void {
    this.#bar?.count(plural(members, 'file'));
  }

  /** @returns exit status */
  end(): number {
    this.#bar?.clear();
    const more = this.#losses > 1 ? `, and ${this.#losses - 1} more` : '';
    if (this.#firstLost !== undefined) say(this.#terminal, `not kept: ${this.#firstLost}${more}`);
    return this.#failures > 0 || this.#losses > 0 ? LOSS_STATUS : 0;
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function pack({ image, path }: PlaceInVolume, terminal: Terminal): Promise<number> {
  if (terminal.screen !== undefined)
    throw new UsageError('an archive is not for a terminal: write it to a file or a pipe');
  return await withVolume(image, true, async (volume) => {
    const told = new Told(terminal, image);
    const write = async (bytes: Uint8Array) => {
      if (bytes.length > 0 && (await terminal.bytes?.(bytes)) === false)
        throw new CommandError('nobody reads the archive any more: it is cut off');
    };
    try {
      await new TarPacking(volume, {
        write,
        failed: (thrown) => told.failed(thrown),
        lost: (lostPath, what) => told.lost(lostPath, what),
        made: (members) => told.made(members),
      }).pack(path);
    } catch (thrown) {
      told.end();
      throw thrown;
    }
    return told.end();
  });
}

async function unpack(place: PlaceInVolume, terminal: Terminal): Promise<number> {
  if (Object(terminal.input).isTTY === true)
    throw new UsageError('an archive does not come from a terminal: give it a file or a pipe');
  const { image, path } = place;
  return await withVolume(image, false, async (volume) => {
    if ((await new VolumeTree(volume, true).typeAt(path, true)) !== FileType.directory)
      throw new CommandError(`${placeText(place)} is no directory that is there`);
    const told = new Told(terminal, image);
    const unpacking = new TarUnpacking(volume, await volume.realpath(path, 'buffer'), {
      failed: (thrown) => told.failed(thrown),
      lost: (lostPath, what) => told.lost(lostPath, what),
    });
    try {
      for await (const member of membersOf(terminal.input ?? nothing())) {
        await unpacking.take(member);
        told.made(unpacking.members);
      }
      await unpacking.end();
    } catch (thrown) {
      // No directory stays closed to its owner because the archive was cut off.
      await unpacking.end().catch(() => {});
      told.end();
      throw thrown;
    }
    return told.end();
  });
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const isPacking = optionGiven(options, 'create');
  if (isPacking === optionGiven(options, 'extract'))
    throw new UsageError('say what is to be done: --create or --extract');
  const place = volumePath(argumentAt(args, 0));
  return isPacking ? await pack(place, terminal) : await unpack(place, terminal);
}

export const tarCommand: CommandDefinition = {
  name: 'tar',
  summary: 'write files of a volume that is not mounted as a tar archive, or read one into it',
  arguments: [{ name: 'place', text: 'IMAGE, or IMAGE:PATH' }],
  options: [
    { flags: '-c, --create', text: 'write an archive of what is there to standard output' },
    {
      flags: '-x, --extract',
      text: 'unpack an archive from standard input into the directory that is there',
    },
  ],
  notes: `Modes, owners by number, times to the nanosecond, extended attributes, ACLs, links of both kinds, devices and
holes are kept, as GNU tar has them with --format=posix --xattrs --acls --sparse. Names that begin with /, have a .. in
them, or lead through a symbolic link are refused.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
