/** A verdict in words: for a terminal, and as data. */
import { plural } from '../../common/words.ts';
import { RULES } from './rules.ts';
import { type BrokenReport, RULE_COUNT, type Verdict } from './verify.ts';

/** Steps that are shown; of more nobody reads the rest. */
const MOST_STEPS = 60;

/** What was tried: who, and the words that try it again. */
export interface Tried {
  /** As it was named on the command line. */
  readonly nameOrFile: string;
  readonly name: string;
}

export function verdictText(tried: Tried, verdict: Verdict): string {
  const { broken } = verdict;
  const lines = broken === undefined ? [heldLine(tried, verdict)] : brokenLines(tried, verdict, broken);
  return [...lines, ...verdict.warnings.map((warning) => `warning: ${warning}`)]
    .map((line) => `${line}\n`)
    .join('');
}

function heldLine(tried: Tried, { calls, seed, rounds, scenarios, isInterrupted }: Verdict): string {
  const done = `${plural(RULE_COUNT, 'rule')}, ${plural(calls, 'operation')}, seed ${seed}`;
  if (isInterrupted) {
    const histories = scenarios + rounds;
    return `${tried.nameOrFile}: interrupted after ${plural(calls, 'operation')} in ${histories} histories, seed ${seed}: no rule was broken until then`;
  }
  return `${tried.nameOrFile}: ${done}: every rule holds`;
}

function brokenLines(tried: Tried, verdict: Verdict, report: BrokenReport): string[] {
  const { rule, asked, answered, why } = report.broken;
  const lines = [
    `${tried.nameOrFile}: allocator '${tried.name}' breaks the rule '${rule}': ${RULES[rule]}`,
    '',
  ];
  if (asked !== '') lines.push(`  asked:     ${asked}`);
  lines.push(`  answered:  ${answered}`, `  wrong:     ${why}`, '', ...stepLines(report), '');
  lines.push(`found by:    ${report.where}, after ${plural(verdict.calls, 'operation')}`);
  lines.push(`repeat with: ${repeatCommand(tried, verdict)}`);
  return lines;
}

function stepLines({ broken, steps, shape, askedAgain, isRepeatable }: BrokenReport): string[] {
  if (!isRepeatable) {
    return [
      'The same operations did not show it again: the policy does things later, is random, or keeps something\nfrom one volume to the next.',
    ];
  }
  const isOneGroup = shape.blockCount <= shape.groupBlocks;
  const groups = isOneGroup ? ', all one group' : ` in groups of ${shape.groupBlocks}`;
  const volume = `a volume of ${plural(shape.blockCount, 'block')}${groups}`;
  const used = shape.metadataBlocks > 0 ? `, the first ${shape.metadataBlocks} of each group in use` : '';
  const failing = askedAgain ? ', where every question to the space fails once' : '';
  if (steps.length === 0) return [`It shows as soon as the policy is made, on ${volume}.`];
  const lines = [`The shortest way to it that was found, on ${volume}${used}${failing}:`];
  const width = `${steps.length}`.length;
  const here = `   <-- here${broken.request > 0 ? `, at its request ${broken.request + 1}` : ''}`;
  for (const [index, { does, outcome }] of steps.slice(0, MOST_STEPS).entries()) {
    const isLast = index === steps.length - 1;
    const came = isLast ? here : outcome === '' ? '' : ` -> ${outcome}`;
    lines.push(`  ${`${index + 1}`.padStart(width)}. ${does}${came}`);
  }
  if (steps.length > MOST_STEPS) lines.push(`  … ${steps.length - MOST_STEPS} more: --json shows all`);
  return lines;
}

/** The words that show it again. */
export function repeatCommand({ nameOrFile }: Tried, { seed, broken }: Verdict): string {
  const word = /^[\w@%+=:,./-]+$/.test(nameOrFile) ? nameOrFile : `'${nameOrFile.replaceAll("'", "'\\''")}'`;
  return `quarry lab verify ${word} --seed ${broken?.seed ?? seed} --rounds 1`;
}

export function verdictData(tried: Tried, verdict: Verdict): Record<string, unknown> {
  const { broken, ...others } = verdict;
  return {
    module: tried.nameOrFile,
    allocator: tried.name,
    rules: RULE_COUNT,
    ...others,
    holds: broken === undefined,
    ...(broken === undefined
      ? {}
      : {
          broken: {
            ...broken.broken,
            title: RULES[broken.broken.rule],
            where: broken.where,
            isRepeatable: broken.isRepeatable,
            volume: broken.shape,
            everyQuestionFailsOnce: broken.askedAgain,
            steps: broken.steps,
            repeat: repeatCommand(tried, verdict),
          },
        }),
  };
}
