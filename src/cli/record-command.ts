/**
 * `quarry record`: asks the daemon of a mount to record its operations, until Ctrl-C or for a
 * while. The daemon writes the file; this command only says begin and end, and looks now and then,
 * without which the daemon ends the record by itself.
 */
import { printable } from '../common/printable.ts';
import type { MountRecord } from '../fuse/mount-table.ts';
import { absolutePath } from '../path-bytes.ts';
import { askMount, NoAnswerError } from './ask-mount.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  optionText,
  printJson,
  say,
  type Terminal,
} from './command.ts';
import { CommandError } from './failure.ts';
import type { RecordingState, RecordQuestion } from './mount-recording.ts';
import { requireMount } from './mountpoint.ts';
import { parseSeconds } from './seconds.ts';
import { formatSize } from './sizes.ts';

const LOOK_MILLISECONDS = 1000;
/** What is left may have to be written. */
const END_MILLISECONDS = 60_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

async function ask(mount: MountRecord, question: RecordQuestion): Promise<RecordingState> {
  const limitMs = question.action === 'look' ? {} : { limitMs: END_MILLISECONDS };
  const said = await askMount(mount, 'record', { payload: JSON.stringify(question), ...limitMs });
  const {
    path,
    isRecording,
    operations,
    writtenBytes,
    seconds,
    isBeginning,
    failure,
  }: Record<string, unknown> = Object(said);
  return {
    path: String(path),
    isRecording: isRecording === true,
    isBeginning: isBeginning === true,
    operations: Number(operations),
    writtenBytes: Number(writtenBytes),
    seconds: Number(seconds),
    ...(typeof failure === 'string' ? { failure } : {}),
  };
}

/** Resolves at a signal, or when the time is over. */
class EndOfRecord {
  readonly #heard: Promise<void>;
  #hear: () => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  isHere = false;

  constructor(seconds: number | undefined) {
    this.#heard = new Promise((resolve) => {
      this.#hear = () => {
        this.isHere = true;
        resolve();
      };
    });
    for (const signal of SIGNALS) process.on(signal, this.#hear);
    if (seconds !== undefined) this.#timer = setTimeout(this.#hear, seconds * 1000);
  }

  async wait(milliseconds: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const passed = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, milliseconds);
    });
    await Promise.race([this.#heard, passed]);
    clearTimeout(timer);
  }

  forget(): void {
    clearTimeout(this.#timer);
    for (const signal of SIGNALS) process.off(signal, this.#hear);
  }
}

/** A mount that is silent for a while may have a slow disk; how long it may be, the daemon says. */
async function isRecording(mount: MountRecord, path: string): Promise<boolean> {
  try {
    return (await ask(mount, { action: 'look', path })).isRecording;
  } catch (thrown) {
    if (thrown instanceof NoAnswerError && thrown.reason === 'silent') return true;
    throw thrown;
  }
}

/** @throws CommandError if the record ended otherwise than by this command */
async function recordUntil(mount: MountRecord, end: EndOfRecord, path: string): Promise<RecordingState> {
  try {
    while (!end.isHere) {
      await end.wait(LOOK_MILLISECONDS);
      if (!end.isHere && !(await isRecording(mount, path))) break;
    }
    return await ask(mount, { action: 'end', path });
  } catch (thrown) {
    if (!(thrown instanceof NoAnswerError) || thrown.reason === 'refused') throw thrown;
    const what = `${mount.directory} does not answer any more, and may be unmounted`;
    throw new CommandError(`${what}: ${path} has what was recorded until then`, { cause: thrown });
  }
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const secondsText = optionText(options, 'seconds');
  const seconds = secondsText === undefined ? undefined : parseSeconds('--seconds', secondsText);
  const mount = await requireMount(argumentAt(args, 0));
  const path = absolutePath(argumentAt(args, 1));
  const end = new EndOfRecord(seconds);
  try {
    await ask(mount, {
      action: 'begin',
      path,
      overwrite: optionGiven(options, 'force'),
      hashNames: optionGiven(options, 'hashNames'),
    });
    if (terminal.interactive && seconds === undefined)
      say(terminal, `recording ${mount.directory} into ${path}; Ctrl-C ends it`);
    conclude(await recordUntil(mount, end, path), options, terminal);
    return 0;
  } finally {
    end.forget();
  }
}

function conclude(state: RecordingState, options: OptionValues, terminal: Terminal): void {
  const { path, operations, writtenBytes, seconds, failure } = state;
  if (failure !== undefined) throw new CommandError(`the record ${path} ended early: ${failure}`);
  if (optionGiven(options, 'json')) printJson(terminal, { path, operations, writtenBytes, seconds });
  else {
    const count = `${operations} operation${operations === 1 ? '' : 's'}`;
    say(terminal, `${printable(path)}: ${count} in ${seconds.toFixed(1)} s, ${formatSize(writtenBytes)}`);
  }
}

export const recordCommand: CommandDefinition = {
  name: 'record',
  summary: 'record the operations of a mount, for quarry lab to replay',
  arguments: [
    { name: 'dir', text: 'where it is mounted, or what is mounted' },
    { name: 'file', text: 'where the record goes, such as year.quarry-record' },
  ],
  options: [
    { flags: '--seconds <seconds>', text: 'how long; until Ctrl-C if not given' },
    { flags: '--hash-names', text: 'record names as hashes, under a key that nobody keeps' },
    { flags: '--force', text: 'write over a record that is there' },
    JSON_OPTION,
  ],
  notes: `Root and the owner of the daemon may record. The daemon writes the file, which only its owner may read.
A mount is recorded from its beginning on by -o record=FILE. Replay: quarry lab run --workloads ./FILE`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
