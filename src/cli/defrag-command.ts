/**
 * `quarry defrag`: files into fewer pieces, as far as the allocator finds better places. Of a mount
 * the daemon does it, moment by moment, beside all else; a volume that is not mounted is opened
 * here.
 */
import { onlyReadable } from '../fs/format/features.ts';
import { openVolume, type Volume } from '../fs/volume.ts';
import type { MountRecord } from '../fuse/mount-table.ts';
import { askMount } from './ask-mount.ts';
import {
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  printJson,
  say,
  type Terminal,
} from './command.ts';
import { DefragRun, type DefragRunParts, defragAnswerOf } from './defrag-run.ts';
import { DefragTally, fileLine } from './defrag-tally.ts';
import { type DefragQuestion, defragmentFiles } from './defragmenting.ts';
import { CommandError, UsageError } from './failure.ts';
import { filesOfMount, filesOfVolume, oneFile, type WalkedFile } from './file-walk.ts';
import { type PlaceInMount, placeInMount } from './named-place.ts';
import { openTarget } from './open-target.ts';
import { ProgressBar } from './progress.ts';
import { holding, mountOf } from './storage-hold.ts';
import { inspectTarget, type Target } from './target.ts';
import { volumeError } from './volume-failure.ts';
import { readVolumeHead } from './volume-head.ts';
import { writeBack } from './write-back.ts';

/** A question ends by itself after a moment, unless the device is very slow. */
const ANSWER_MILLISECONDS = 600_000;
/** As a shell has it for what Ctrl-C ends. */
const STOPPED_STATUS = 130;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A place of a mount, or a target that is not mounted. */
type Place = Pick<PlaceInMount, 'kind' | 'path' | 'mount'> | Target;

/** @throws CommandError if nothing of Quarry's is there */
async function placeOf(name: string): Promise<Place> {
  const place = await placeInMount(name);
  if (place !== undefined) return place;
  const target = inspectTarget(name);
  const mount = mountOf(target);
  return mount === undefined ? target : { kind: 'volume', path: mount.directory, mount };
}

/** A run over what was named, one place after the other. */
class Defragmenting {
  readonly #terminal: Terminal;
  readonly #tally: DefragTally;
  readonly #isVerbose: boolean;
  readonly #bar: ProgressBar | undefined;
  #isToStop = false;
  #isCutOff = false;

  constructor(options: OptionValues, terminal: Terminal) {
    const json = optionGiven(options, 'json');
    const verbose = optionGiven(options, 'verbose');
    this.#terminal = terminal;
    this.#tally = new DefragTally(optionGiven(options, 'dryRun'), json && verbose);
    this.#isVerbose = verbose && !json;
    const wantsBar = optionGiven(options, 'progress') || (terminal.interactive && !json);
    this.#bar = wantsBar ? new ProgressBar(terminal) : undefined;
  }

  get tally(): DefragTally {
    return this.#tally;
  }

  /** Was it stopped before its end? */
  get isCutOff(): boolean {
    return this.#isCutOff;
  }

  async all(places: readonly Place[]): Promise<void> {
    const stop = () => {
      this.#isToStop = true;
    };
    for (const signal of SIGNALS) process.on(signal, stop);
    try {
      for (const place of places)
        if (this.#isToStop) this.#isCutOff = true;
        else await this.#place(place);
    } finally {
      for (const signal of SIGNALS) process.off(signal, stop);
      this.#bar?.clear();
    }
  }

  async #place(place: Place): Promise<void> {
    if (!('kind' in place)) await this.#unmounted(place);
    else if (place.kind === 'file') {
      writeBack(place.path);
      await this.#mounted(place.mount, () => oneFile(place.path), 1);
    } else {
      const walk = (unseen: (path: string, code: string) => void) => filesOfMount(place.path, unseen);
      await this.#mounted(place.mount, walk, await this.#count(walk));
    }
  }

  /** How many files there are, where somebody looks at the bar. */
  async #count(walk: (unseen: () => void) => AsyncIterable<WalkedFile>): Promise<number> {
    let count = 0;
    if (this.#bar !== undefined) for await (const _ of walk(() => {})) if (!this.#isToStop) count++;
    return count;
  }

  async #mounted(
    mount: MountRecord,
    walk: (unseen: (path: string, code: string) => void) => AsyncIterable<WalkedFile>,
    count: number,
  ): Promise<void> {
    const ask = async (question: DefragQuestion) =>
      defragAnswerOf(
        await askMount(mount, 'defrag', {
          payload: JSON.stringify(question),
          limitMs: ANSWER_MILLISECONDS,
        }),
      );
    const unseen = (path: string, code: string) => {
      this.#tally.unseen++;
      this.#bar?.clear();
      say(this.#terminal, `${path} cannot be read (${code}), and what is in it is left as it is`);
    };
    await this.#run(ask, walk(unseen), count);
  }

  async #unmounted(target: Target): Promise<void> {
    if (this.#tally.dryRun)
      throw new UsageError(`--dry-run: ${target.path} is not mounted; 'quarry frag' shows how it lies`);
    const { onlyReadableFor } = readVolumeHead(target);
    if (onlyReadableFor !== undefined)
      throw new CommandError(`${target.path}: ${onlyReadable(onlyReadableFor)}`);
    await holding(target, 'exclusive', async () => {
      try {
        const device = openTarget(target, { exclusive: false, allowBuffered: true });
        await this.#inVolume(await openVolume(device));
      } catch (thrown) {
        throw volumeError(thrown, target.path, 'defragmented');
      }
    });
  }

  async #inVolume(volume: Volume): Promise<void> {
    const running = this.#run(
      (question) => defragmentFiles(volume, question, () => true),
      filesOfVolume(volume),
      (await volume.space()).inodes,
    );
    // What went wrong first is what is told.
    await running.catch(() => {});
    const ended = volume.unmount();
    await ended.catch(() => {});
    await running;
    await ended;
  }

  async #run(ask: DefragRunParts['ask'], files: AsyncIterable<WalkedFile>, count: number): Promise<void> {
    const before = this.#tally.files;
    const run = new DefragRun({
      tally: this.#tally,
      ask,
      isStopped: () => this.#isToStop,
      told: (file) => {
        if (!this.#isVerbose) return;
        this.#bar?.clear();
        this.#terminal.out(fileLine(file, this.#tally.dryRun));
      },
      progress: (done) => this.#bar?.update('files', done - before, Math.max(count, 1)),
    });
    if (!(await run.through(files))) this.#isCutOff = true;
  }
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const places = [];
  for (const name of args) places.push(await placeOf(name));
  const work = new Defragmenting(options, terminal);
  await work.all(places);
  const { tally, isCutOff } = work;
  if (optionGiven(options, 'json')) printJson(terminal, tally.json(args, isCutOff));
  else terminal.out(tally.text(isCutOff));
  if (isCutOff) return STOPPED_STATUS;
  return tally.isWhole ? 0 : 1;
}

export const defragCommand: CommandDefinition = {
  name: 'defrag',
  summary: 'bring files into fewer pieces, mounted or not',
  arguments: [
    {
      name: 'place',
      text: 'a file or directory in a mount of Quarry, a mount, or a block device or image file',
      repeated: true,
    },
  ],
  options: [
    { flags: '-n, --dry-run', text: 'only tell what could be done; for mounts' },
    { flags: '-v, --verbose', text: 'a line for each file in more than one piece; with --json, a record' },
    { flags: '--progress', text: 'show a progress bar; by default where standard error is a terminal' },
    JSON_OPTION,
  ],
  notes: `The allocator of the mount decides where files go; they move only where that makes fewer pieces.
Others go on meanwhile. Ctrl-C stops it in order: what is done stays, and every file is whole at any moment.
Root moves all files, others their own. Some of the free space is left alone; docs/FRAGMENTATION.md tells more.
Exit status: 0 done as far as it can be, 1 something could not be looked at, 130 stopped.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
