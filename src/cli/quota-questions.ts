/**
 * What `quarry quota` asks of a volume, in this process or in the daemon of its mount: the same
 * questions, and the same answers.
 *
 * Sizes are in bytes. A question that comes from a mount is anybody's: all of it is looked at.
 */
import { FsError } from '../fs/base/errors.ts';
import { QuotaKind } from '../fs/format/format.ts';
import type { QuotaEntry } from '../fs/inodes/quota-records.ts';
import type { VolumeQuotas } from '../fs/life/volume-quotas.ts';
import type { AccountKind } from './account-names.ts';
import { CommandError } from './failure.ts';

export const QUOTA_KIND_NAMES: readonly AccountKind[] = ['user', 'group', 'project'];

export type QuotaChange =
  | { readonly do: 'set'; readonly kind: AccountKind; readonly id: number; readonly limits: QuotaLimitsAsked }
  | { readonly do: 'grace'; readonly kind: AccountKind; readonly grace: QuotaGraceAsked };

export type QuotaQuestion =
  | QuotaChange
  /** Which kinds are counted. */
  | { readonly do: 'kinds' }
  /** What those of a kind have, from an id on. */
  | { readonly do: 'report'; readonly kind: AccountKind; readonly fromId: number };

/** What is left out stays; 0 is no limit. */
export interface QuotaLimitsAsked {
  readonly softBytes?: number | undefined;
  readonly hardBytes?: number | undefined;
  readonly softInodes?: number | undefined;
  readonly hardInodes?: number | undefined;
}

export interface QuotaGraceAsked {
  readonly blockSeconds?: number | undefined;
  readonly inodeSeconds?: number | undefined;
}

/** One user, group or project; times in seconds since 1970, 0 where no limit is passed. */
export interface QuotaLine {
  readonly id: number;
  readonly bytes: number;
  readonly softBytes: number;
  readonly hardBytes: number;
  readonly blockDeadline: number;
  readonly inodes: number;
  readonly softInodes: number;
  readonly hardInodes: number;
  readonly inodeDeadline: number;
}

export interface QuotaPart {
  readonly lines: readonly QuotaLine[];
  /** The id to go on from; null where there are no more. */
  readonly next: number | null;
  readonly blockSeconds: number;
  readonly inodeSeconds: number;
}

/** Lines of one answer: some 200 bytes each. */
const MOST_LINES = 500;
const MOST_GRACE_SECONDS = 2 ** 32 - 1;

const KINDS = { user: QuotaKind.user, group: QuotaKind.group, project: QuotaKind.project } as const;

/** Who asks; undefined may ask everything. */
export interface QuotaReader {
  readonly uid: number;
  readonly groups: readonly number[];
}

/** What is asked of. */
export interface QuotaVolume {
  readonly blockBytes: number;
  readonly quotas: VolumeQuotas;
}

/**
 * @param reader undefined for whoever may see all and set limits
 * @throws CommandError
 */
export async function answerQuota(
  volume: QuotaVolume,
  question: QuotaQuestion,
  reader: QuotaReader | undefined,
): Promise<unknown> {
  try {
    if (question.do === 'kinds') return await kindsOf(volume);
    if (question.do === 'report') return await report(volume, question, reader);
    if (reader !== undefined) throw new CommandError('only root and who serves the mount may set limits');
    if (question.do === 'set') await setLimits(volume, question.kind, question.id, question.limits);
    else await volume.quotas.setGrace(KINDS[question.kind], question.grace);
    return null;
  } catch (thrown) {
    throw inWords(thrown, question);
  }
}

async function kindsOf({ quotas }: QuotaVolume): Promise<AccountKind[]> {
  const counted = await quotas.kinds();
  return QUOTA_KIND_NAMES.filter((name) => counted.includes(KINDS[name]));
}

async function report(
  { quotas, blockBytes }: QuotaVolume,
  { kind, fromId }: { kind: AccountKind; fromId: number },
  reader: QuotaReader | undefined,
): Promise<QuotaPart> {
  const own = reader === undefined ? undefined : ownIds(kind, reader);
  const lines: QuotaLine[] = [];
  let page = await quotas.page(KINDS[kind], fromId, MOST_LINES);
  const last = page.entries.at(-1);
  if (own === undefined) lines.push(...page.entries.map((entry) => lineOf(entry, blockBytes)));
  else {
    for (const id of own) {
      page = await quotas.page(KINDS[kind], id, 1);
      const [entry] = page.entries;
      if (entry?.id === id) lines.push(lineOf(entry, blockBytes));
    }
  }
  const isFull = own === undefined && page.entries.length === MOST_LINES && last !== undefined;
  return { lines, next: isFull ? last.id + 1 : null, ...page.grace };
}

/** Whose lines somebody may read who is not root. @throws CommandError where nobody's */
function ownIds(kind: AccountKind, { uid, groups }: QuotaReader): readonly number[] {
  if (kind === 'project') throw new CommandError('only root and who serves the mount may see projects');
  return kind === 'user' ? [uid] : [...new Set(groups)].sort((a, b) => a - b);
}

function lineOf({ id, blocks, inodes, blockLimits, inodeLimits }: QuotaEntry, blockBytes: number): QuotaLine {
  return {
    id,
    bytes: blocks * blockBytes,
    softBytes: blockLimits.soft * blockBytes,
    hardBytes: blockLimits.hard * blockBytes,
    blockDeadline: blockLimits.deadline,
    inodes,
    softInodes: inodeLimits.soft,
    hardInodes: inodeLimits.hard,
    inodeDeadline: inodeLimits.deadline,
  };
}

async function setLimits(
  { quotas, blockBytes }: QuotaVolume,
  kind: AccountKind,
  id: number,
  { softBytes, hardBytes, softInodes, hardInodes }: QuotaLimitsAsked,
): Promise<void> {
  const blocks = (bytes: number | undefined) =>
    bytes === undefined ? undefined : Math.ceil(bytes / blockBytes);
  const changes = { softBlocks: blocks(softBytes), hardBlocks: blocks(hardBytes), softInodes, hardInodes };
  await quotas.setLimits(KINDS[kind], id, changes);
}

function inWords(thrown: unknown, question: QuotaQuestion): unknown {
  if (!(thrown instanceof FsError) || question.do === 'kinds') return thrown;
  const sentence = {
    EOPNOTSUPP: `no quotas of ${question.kind}s are counted: 'quarry quota on' begins, while it is not mounted`,
    EINVAL: `nobody is limited by ${question.kind} 0`,
    EROFS: 'the volume is mounted read-only, or takes no changes any more',
    ENOSPC: 'the volume has no room for another limit',
  }[thrown.code as string];
  return sentence === undefined ? thrown : new CommandError(sentence, { cause: thrown });
}

// ---- what comes from a mount ----

/** @throws CommandError for what is no question */
export function readQuotaQuestion(payload: string): QuotaQuestion {
  const said: Record<string, unknown> = Object(JSON.parse(payload));
  if (said.do === 'kinds') return { do: 'kinds' };
  const kind = QUOTA_KIND_NAMES.find((name) => name === said.kind);
  if (kind === undefined) throw new CommandError('that is no question about quotas');
  if (said.do === 'report') return { do: 'report', kind, fromId: numberOf(said.fromId, 2 ** 32) ?? 0 };
  if (said.do === 'grace') return { do: 'grace', kind, grace: graceOf(Object(said.grace)) };
  const id = numberOf(said.id, 2 ** 32 - 2);
  if (said.do !== 'set' || id === undefined) throw new CommandError('that is no question about quotas');
  return { do: 'set', kind, id, limits: limitsOf(Object(said.limits)) };
}

function limitsOf(said: Record<string, unknown>): QuotaLimitsAsked {
  return {
    softBytes: numberOf(said.softBytes),
    hardBytes: numberOf(said.hardBytes),
    softInodes: numberOf(said.softInodes),
    hardInodes: numberOf(said.hardInodes),
  };
}

function graceOf(said: Record<string, unknown>): QuotaGraceAsked {
  return {
    blockSeconds: numberOf(said.blockSeconds, MOST_GRACE_SECONDS),
    inodeSeconds: numberOf(said.inodeSeconds, MOST_GRACE_SECONDS),
  };
}

/** @throws CommandError for what is neither left out nor a number from 0 on */
function numberOf(value: unknown, most = Number.MAX_SAFE_INTEGER): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most) return value;
  throw new CommandError('that is no question about quotas');
}

/** An answer of a mount to `report`, as far as it is one. @throws CommandError */
export function readQuotaPart(answer: unknown): QuotaPart {
  const { lines, next, blockSeconds, inodeSeconds }: Record<string, unknown> = Object(answer);
  if (!Array.isArray(lines)) throw new CommandError('the daemon does not say what is used');
  const number = (value: unknown) => (typeof value === 'number' ? value : 0);
  return {
    lines: lines.map((line: unknown) => {
      const said: Record<string, unknown> = Object(line);
      return {
        id: number(said.id),
        bytes: number(said.bytes),
        softBytes: number(said.softBytes),
        hardBytes: number(said.hardBytes),
        blockDeadline: number(said.blockDeadline),
        inodes: number(said.inodes),
        softInodes: number(said.softInodes),
        hardInodes: number(said.hardInodes),
        inodeDeadline: number(said.inodeDeadline),
      };
    }),
    next: typeof next === 'number' ? next : null,
    blockSeconds: number(blockSeconds),
    inodeSeconds: number(inodeSeconds),
  };
}
