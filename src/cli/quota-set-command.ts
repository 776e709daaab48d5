/** `quarry quota set` and `grace`: limits, and for how long a soft one may be passed. */
import { type AccountKind, accountNames } from './account-names.ts';
import { argumentAt, type CommandDefinition, type OptionValues, optionGiven, optionText } from './command.ts';
import { UsageError } from './failure.ts';
import {
  QUOTA_KIND_NAMES,
  type QuotaChange,
  type QuotaGraceAsked,
  type QuotaLimitsAsked,
} from './quota-questions.ts';
import { changeQuotas } from './quota-target.ts';
import { parseSize } from './sizes.ts';

const TARGET = { name: 'target', text: 'directory of a mount, or block device or image file' } as const;

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 } as const;
const MOST_SECONDS = 2 ** 32 - 1;

/** @throws UsageError */
export function parseGrace(text: string, what: string): number {
  const match = /^(\d{1,10})([smhdw]?)$/.exec(text.trim());
  const unit = SECONDS[(match?.[2] || 's') as keyof typeof SECONDS];
  const seconds = Number(match?.[1]) * unit;
  if (match && seconds <= MOST_SECONDS) return seconds;
  throw new UsageError(`${what} ${text} is not a time: write it as 3600, 90m, 36h, 7d or 2w`);
}

/** @throws UsageError */
function parseCount(text: string, what: string): number {
  if (/^\d{1,15}$/.test(text.trim())) return Number(text);
  throw new UsageError(`${what} ${text} is not a number of inodes`);
}

function given<T>(options: OptionValues, name: string, read: (text: string) => T): T | undefined {
  const text = optionText(options, name);
  return text === undefined ? undefined : read(text);
}

/** The one kind that was named. @throws UsageError */
function oneKind(isNamed: (kind: AccountKind) => boolean): AccountKind {
  const kinds = QUOTA_KIND_NAMES.filter(isNamed);
  const [kind, ...others] = kinds;
  if (kind !== undefined && others.length === 0) return kind;
  throw new UsageError('name one of --user, --group and --project');
}

/** Judges the command line. @throws UsageError */
export function limitsQuestion(options: OptionValues): QuotaChange {
  const kind = oneKind((name) => optionText(options, name) !== undefined);
  const id = accountNames(kind).idOf(optionText(options, kind) ?? '');
  const limits: QuotaLimitsAsked = {
    softBytes: given(options, 'blockSoft', (text) => parseSize(text, '--block-soft')),
    hardBytes: given(options, 'blockHard', (text) => parseSize(text, '--block-hard')),
    softInodes: given(options, 'inodeSoft', (text) => parseCount(text, '--inode-soft')),
    hardInodes: given(options, 'inodeHard', (text) => parseCount(text, '--inode-hard')),
  };
  if (Object.values(limits).every((limit) => limit === undefined))
    throw new UsageError('name a limit: --block-soft, --block-hard, --inode-soft or --inode-hard');
  if (id === 0 && Object.values(limits).some((limit) => limit !== 0 && limit !== undefined))
    throw new UsageError(`--${kind} 0: nobody is limited by an id of 0`);
  expectOrder('block', limits.softBytes, limits.hardBytes);
  expectOrder('inode', limits.softInodes, limits.hardInodes);
  return { do: 'set', kind, id, limits };
}

/** @throws UsageError where the soft limit is the higher one, and would be none */
function expectOrder(what: string, soft: number | undefined, hard: number | undefined): void {
  if (soft !== undefined && hard !== undefined && hard > 0 && soft > hard)
    throw new UsageError(`--${what}-soft is above --${what}-hard`);
}

export const quotaSetCommand: CommandDefinition = {
  name: 'set',
  summary: 'set limits of a user, group or project',
  arguments: [TARGET],
  options: [
    { flags: '--user <user>', text: 'name or number of a user' },
    { flags: '--group <group>', text: 'name or number of a group' },
    { flags: '--project <project>', text: 'name (/etc/projid) or number of a project' },
    { flags: '--block-soft <size>', text: 'space that may be passed for the time of grace; 0: none' },
    { flags: '--block-hard <size>', text: 'space at most' },
    { flags: '--inode-soft <count>', text: 'files that may be passed for the time of grace' },
    { flags: '--inode-hard <count>', text: 'files at most' },
  ],
  notes: 'Limits that are not named stay. Sizes are rounded up to blocks. Nobody is limited by an id of 0.',
  usageStatus: 2,
  failureStatus: 1,
  run: async (args, options) => {
    const question = limitsQuestion(options);
    await changeQuotas(argumentAt(args, 0), question);
    return 0;
  },
};

/** Judges the command line. @throws UsageError */
export function graceQuestion(options: OptionValues): QuotaChange {
  const kind = oneKind((name) => optionGiven(options, name));
  const grace: QuotaGraceAsked = {
    blockSeconds: given(options, 'block', (text) => parseGrace(text, '--block')),
    inodeSeconds: given(options, 'inode', (text) => parseGrace(text, '--inode')),
  };
  if (grace.blockSeconds === undefined && grace.inodeSeconds === undefined)
    throw new UsageError('name a time: --block or --inode');
  return { do: 'grace', kind, grace };
}

export const quotaGraceCommand: CommandDefinition = {
  name: 'grace',
  summary: 'set for how long soft limits may be passed',
  arguments: [TARGET],
  options: [
    { flags: '--user', text: 'by users' },
    { flags: '--group', text: 'by groups' },
    { flags: '--project', text: 'by projects' },
    { flags: '--block <time>', text: 'for space, such as 7d, 36h or 3600' },
    { flags: '--inode <time>', text: 'for files' },
  ],
  notes: 'Who has passed a limit keeps the time that he was given then.',
  usageStatus: 2,
  failureStatus: 1,
  run: async (args, options) => {
    const question = graceQuestion(options);
    await changeQuotas(argumentAt(args, 0), question);
    return 0;
  },
};
