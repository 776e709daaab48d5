/** `quarry quota report`: who has how much, and how much he may have. */
import { printable } from '../common/printable.ts';
import { type AccountKind, type AccountNames, accountNames } from './account-names.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  printJson,
  type Terminal,
} from './command.ts';
import { CommandError } from './failure.ts';
import { QUOTA_KIND_NAMES, type QuotaLine, type QuotaPart, readQuotaPart } from './quota-questions.ts';
import { type AskQuota, withQuotas } from './quota-target.ts';
import { formatSize } from './sizes.ts';
import { widest } from './table-text.ts';
import { spanText } from './time-span.ts';

/** What one kind has, in all. */
interface KindReport {
  readonly kind: AccountKind;
  readonly blockSeconds: number;
  readonly inodeSeconds: number;
  readonly lines: QuotaLine[];
}

/** Of the kinds that were named, or of those that are counted. */
async function kindsToShow(options: OptionValues, ask: AskQuota): Promise<readonly AccountKind[]> {
  const chosen = QUOTA_KIND_NAMES.filter((kind) => optionGiven(options, kind));
  if (chosen.length > 0) return chosen;
  const counted = await ask({ do: 'kinds' });
  const kinds = QUOTA_KIND_NAMES.filter((kind) => Array.isArray(counted) && counted.includes(kind));
  if (kinds.length > 0) return kinds;
  throw new CommandError("no quotas are counted: 'quarry quota on' begins, while it is not mounted");
}

async function reportOf(kind: AccountKind, ask: AskQuota): Promise<KindReport> {
  const lines: QuotaLine[] = [];
  let part: QuotaPart;
  let fromId = 0;
  do {
    part = readQuotaPart(await ask({ do: 'report', kind, fromId }));
    lines.push(...part.lines);
    if (part.next !== null && part.next <= fromId)
      throw new CommandError('the daemon does not come to an end');
    fromId = part.next ?? 0;
  } while (part.next !== null);
  return { kind, blockSeconds: part.blockSeconds, inodeSeconds: part.inodeSeconds, lines };
}

/** All that may be seen: of projects nothing by who is not root, unless he names them. */
async function reportsOf(options: OptionValues, ask: AskQuota): Promise<KindReport[]> {
  const reports: KindReport[] = [];
  const kinds = await kindsToShow(options, ask);
  for (const kind of kinds) {
    const isSeen = optionGiven(options, kind) || kind !== 'project' || process.geteuid?.() === 0;
    if (isSeen) reports.push(await reportOf(kind, ask));
  }
  return reports;
}

const NOW = () => Date.now() / 1000;

/** What is left of the time of grace, or that it is over. */
export function graceText(deadline: number, now: number): string {
  if (deadline === 0) return '-';
  return deadline <= now ? 'over' : spanText(deadline - now);
}

/** A table of one kind; who is above a limit has a star. */
export function reportText(
  { kind, lines, blockSeconds, inodeSeconds }: KindReport,
  names: AccountNames,
): string {
  const size = (bytes: number) => (bytes === 0 ? '-' : formatSize(bytes));
  const count = (inodes: number) => (inodes === 0 ? '-' : String(inodes));
  const rows = lines.map((line) => [
    `${isOver(line) ? '*' : ' '} ${printable(names.nameOf(line.id) ?? `#${line.id}`)}`,
    formatSize(line.bytes),
    size(line.softBytes),
    size(line.hardBytes),
    graceText(line.blockDeadline, NOW()),
    String(line.inodes),
    count(line.softInodes),
    count(line.hardInodes),
    graceText(line.inodeDeadline, NOW()),
  ]);
  const head = [`  ${kind}`, 'used', 'soft', 'hard', 'grace', 'inodes', 'soft', 'hard', 'grace'];
  const widths = head.map((_, column) => widest([head, ...rows], column));
  const text = [head, ...rows].map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  '),
  );
  const grace = `${kind}s: ${spanText(blockSeconds)} of grace for space, ${spanText(inodeSeconds)} for inodes`;
  return [grace, ...text.map((line) => line.trimEnd())].join('\n');
}

/** Above a soft limit, or at a hard one. */
function isOver(line: QuotaLine): boolean {
  const isAt = (used: number, hard: number) => hard > 0 && used >= hard;
  if (line.blockDeadline !== 0 || line.inodeDeadline !== 0) return true;
  return isAt(line.bytes, line.hardBytes) || isAt(line.inodes, line.hardInodes);
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const name = argumentAt(args, 0);
  const reports = await withQuotas(name, (ask) => reportsOf(options, ask));
  if (optionGiven(options, 'json')) {
    const quotas = reports.map(({ lines, ...report }) => {
      const names = accountNames(report.kind);
      return { ...report, lines: lines.map((line) => ({ name: names.nameOf(line.id) ?? null, ...line })) };
    });
    printJson(terminal, { target: name, quotas });
  } else {
    const texts = reports.map((report) => reportText(report, accountNames(report.kind)));
    terminal.out(`${texts.join('\n\n')}\n`);
  }
  return 0;
}

export const quotaReportCommand: CommandDefinition = {
  name: 'report',
  summary: 'show what everybody has and may have; of a mount, anybody sees his own',
  arguments: [{ name: 'target', text: 'directory of a mount, or block device or image file' }],
  options: [
    { flags: '--user', text: 'of users; without any of the three: of all that are counted' },
    { flags: '--group', text: 'of groups' },
    { flags: '--project', text: 'of projects' },
    JSON_OPTION,
  ],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
