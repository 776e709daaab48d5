/**
 * `quarry lab verify`: tries whether an allocator keeps every rule, and shows the shortest way to
 * break one.
 */
import { PolicyBench } from '../lab/verify/policy-bench.ts';
import { type Tried, verdictData, verdictText } from '../lab/verify/verdict-text.ts';
import { type VerifyRequest, verifyPolicy } from '../lab/verify/verify.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  optionText,
  printJson,
  type Terminal,
} from './command.ts';
import { UsageError } from './failure.ts';

const DEFAULT_MILLISECONDS = 10_000;
const MOST_MINUTES = 24 * 60;
const MOST_ROUNDS = 1e9;
/** Seeds of later rounds stay exact, and 32 bits. */
const MOST_SEED = 2 ** 31;
/** As a shell has it of a command that was ended by Ctrl-C. */
const INTERRUPTED_STATUS = 130;

/** Judges the command line. @throws UsageError */
export function verifyRequest(options: OptionValues): VerifyRequest {
  const seed = optionText(options, 'seed');
  const rounds = optionText(options, 'rounds');
  const minutes = optionText(options, 'minutes');
  if (rounds !== undefined && minutes !== undefined) {
    throw new UsageError('--rounds and --minutes are two ways to say how long: give one of them');
  }
  return {
    seed: seed === undefined ? Date.now() % 1e6 : wholeNumberOf('--seed', seed, 0, MOST_SEED),
    rounds: rounds === undefined ? undefined : wholeNumberOf('--rounds', rounds, 1, MOST_ROUNDS),
    milliseconds: minutes === undefined ? DEFAULT_MILLISECONDS : minutesOf(minutes) * 60_000,
  };
}

function wholeNumberOf(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`${option} takes a whole number from ${least} to ${most}, not '${text}'`);
}

function minutesOf(text: string): number {
  const value = /^\d{1,9}(\.\d{1,9})?$/.test(text) ? Number(text) : Number.NaN;
  if (value > 0 && value <= MOST_MINUTES) return value;
  throw new UsageError(`--minutes takes a number above 0, at most ${MOST_MINUTES}, not '${text}'`);
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const nameOrFile = argumentAt(args, 0);
  const request = verifyRequest(options);
  const interruption = new AbortController();
  const interrupt = () => interruption.abort();
  for (const signal of SIGNALS) process.on(signal, interrupt);
  let bench: PolicyBench | undefined;
  try {
    bench = await PolicyBench.open(nameOrFile, interruption.signal);
    const verdict = await verifyPolicy(bench, request, interruption.signal);
    const tried: Tried = { nameOrFile, name: bench.name };
    if (optionGiven(options, 'json')) printJson(terminal, verdictData(tried, verdict));
    else terminal.out(verdictText(tried, verdict));
    if (verdict.broken !== undefined) return 1;
    return verdict.isInterrupted ? INTERRUPTED_STATUS : 0;
  } catch (thrown) {
    if (interruption.signal.aborted) return INTERRUPTED_STATUS;
    throw thrown;
  } finally {
    bench?.close();
    for (const signal of SIGNALS) process.off(signal, interrupt);
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export const labVerifyCommand: CommandDefinition = {
  name: 'verify',
  summary: 'try whether an allocator keeps every rule',
  arguments: [
    {
      name: 'module',
      text: "a module such as ./mine.ts, or a built-in allocator; options behind it: './mine.ts?key=value&…'",
    },
  ],
  options: [
    { flags: '--seed <number>', text: 'begin with this random history (default: another each time)' },
    { flags: '--rounds <number>', text: 'so many random histories' },
    { flags: '--minutes <number>', text: 'random histories for so long (default: about 10 seconds)' },
    JSON_OPTION,
  ],
  notes:
    'The policy runs in a process of its own, on volumes that exist in memory only.\nExit status: 0 every rule holds, 1 a rule is broken, 2 the module cannot be tried.',
  usageStatus: 2,
  // 1 is the answer that a rule is broken.
  failureStatus: 2,
  run,
};
