/**
 * The daemon as the host of a user's allocator module: loads it, watches it, and knows its errors
 * from the program's own.
 *
 * The fence around its hooks is in alloc/fenced-policy.ts. Here is what lies outside of them: a
 * module that never finishes loading, a hook that never returns (a thread of the addon watches, and
 * ends it), what is thrown in a timer or rejected in a promise, and calls such as `process.exit()`
 * (process-fence.ts).
 *
 * An error that nobody caught is the module's if its stack passes through the module's folder, or
 * through nothing of the program's (a stream of the module's fails without a frame of anybody):
 * then the built-in policy takes over. Otherwise it is a fault of the program, which ends, as it
 * does without a module.
 */
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { AllocatorDefinition } from '../alloc/allocator.ts';
import { HookOverrun, policyTitle, type WatchHook } from '../alloc/fenced-policy.ts';
import { describeThrown, isInstance } from '../alloc/foreign-values.ts';
import { loadAllocator } from '../alloc/registry.ts';
import { FsError } from '../fs/base/errors.ts';
import type { Volume } from '../fs/volume.ts';
import { type HookWatchHandle, native } from '../native.ts';
import { CommandError } from './failure.ts';
import { foregroundLog, type LogLine } from './mount-log.ts';
import { endProcess, fenceProcess } from './process-fence.ts';

/** How often the watcher looks, … */
const TICK_MILLISECONDS = 500;
/** … after how many looks at the same call it says so, … */
const REPORT_TICKS = 4;
/** … and after how many the call is ended. */
const END_TICKS = 10;
const BEAT_MILLISECONDS = 1000;
/**
 * How long loading may wait for something. A module that does not wait but computes is ended after
 * END_TICKS.
 */
const LOAD_MILLISECONDS = 5000;

/** The program itself: the folder that has `cli`, `fs` and the others, built or not. */
const PROGRAM_FOLDER = fileURLToPath(new URL('..', import.meta.url));

/** How both kinds of module name a place in a file. */
function placesIn(path: string): string[] {
  return [path, pathToFileURL(path).href];
}

/** Whether code of the module in `file` had a part in this error that nobody caught. */
export function isErrorOf(file: string, thrown: unknown): boolean {
  // The program throws errors only.
  if (!isInstance(thrown, Error)) return true;
  if (isInstance(thrown, FsError)) return false;
  let frames: string[];
  try {
    frames = String(thrown.stack).split('\n').slice(1);
  } catch {
    return true;
  }
  const passes = (places: string[]) => (frame: string) => places.some((place) => frame.includes(place));
  const ours = passes(placesIn(PROGRAM_FOLDER));
  if (frames.some(passes(placesIn(file)))) return true;
  if (frames.some((frame) => !ours(frame) && passes(placesIn(`${dirname(file)}/`))(frame))) return true;
  return !frames.some(ours);
}

function newWatch(subject: string, advice: string): HookWatchHandle {
  const overrun = new HookOverrun(`did not return within ${(END_TICKS * TICK_MILLISECONDS) / 1000} s`);
  return new native.HookWatch(subject, advice, overrun, TICK_MILLISECONDS, REPORT_TICKS, END_TICKS);
}

export class PolicyHost {
  readonly definition: AllocatorDefinition;
  readonly file: string;
  readonly title: string;
  readonly #watch: HookWatchHandle;
  #log: LogLine = foregroundLog().line;
  #volume: Volume | undefined;
  /** What it did outside of its hooks, the first time. */
  #fault: string | undefined;
  #beat: NodeJS.Timeout | undefined;

  /**
   * Loads the module. From here on the process is fenced.
   * @param file its absolute path
   * @param directory where the volume will be mounted, for advice
   * @throws AllocatorLoadError, CommandError
   */
  static async load(file: string, directory: string): Promise<PolicyHost> {
    fenceProcess();
    const watch = newWatch(`allocator module ${file}`, '');
    let late: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      const error = new CommandError(`allocator module ${file} does not finish loading`);
      late = setTimeout(() => reject(error), LOAD_MILLISECONDS);
    });
    watch.loading(true);
    try {
      return new PolicyHost(await Promise.race([loadAllocator(file), tooLate]), file, directory);
    } finally {
      clearTimeout(late);
      watch.close();
    }
  }

  private constructor(definition: AllocatorDefinition, file: string, directory: string) {
    this.definition = definition;
    this.file = file;
    this.title = policyTitle(definition.name, file);
    this.#watch = newWatch(this.title, `; 'quarry umount --force ${directory}' ends this mount`);
    process.on('uncaughtException', (thrown) => this.#uncaught(thrown));
    process.on('unhandledRejection', (reason) => this.#uncaught(reason));
  }

  readonly watchHook: WatchHook = (name, hook, receiver) => this.#watch.guard(name, hook, receiver);

  /** The volume is there: what the module does outside of its hooks costs it its office. */
  attach(volume: Volume, log: LogLine): void {
    this.#volume = volume;
    this.#log = log;
    this.#beat = setInterval(() => this.#watch.beat(), BEAT_MILLISECONDS);
    this.#beat.unref();
    if (this.#fault !== undefined) volume.dismissAllocator(this.#fault);
  }

  close(): void {
    clearInterval(this.#beat);
    this.#watch.close();
  }

  #uncaught(thrown: unknown): void {
    if (!isErrorOf(this.file, thrown)) {
      this.#log(`internal error: ${thrown instanceof Error ? thrown.stack : describeThrown(thrown)}`);
      endProcess(1);
      return;
    }
    if (this.#fault !== undefined) return;
    this.#fault = `outside of its hooks it threw: ${describeThrown(thrown)}`;
    this.#volume?.dismissAllocator(this.#fault);
  }
}
