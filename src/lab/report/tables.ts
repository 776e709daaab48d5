/** Results as text: CSV for other programs, tables for a terminal. */
import type { FinishedRun } from '../experiment.ts';
import { MEASURES } from '../measures.ts';
import { isAmongBest, type OverallRank, type Ranking } from '../ranking.ts';
import type { RunSample } from '../runners/ageing-run.ts';

/** RFC 4180. */
function csvField(value: string | number): string {
  const text = String(value);
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv(rows: readonly (readonly (string | number)[])[]): string {
  return `${rows.map((row) => row.map(csvField).join(',')).join('\n')}\n`;
}

type Row = Readonly<Record<string, string | number>>;

/** A column for each name that any row has; empty where one has none. */
function csvOf(rows: readonly Row[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return csv([names, ...rows.map((row) => names.map((name) => row[name] ?? ''))]);
}

/** What of a sample is one number, under its own name. */
function figuresOf(sample: RunSample): Row {
  const { layout, free, coldRead, besideCopy, model, policy: _p, simulatedSeconds: _s, ...plain } = sample;
  const { runsByPower: _r, blocksByPower: _b, ...space } = free ?? {};
  const copied = Object.entries(besideCopy ?? {}).map(([name, value]) => [`besideCopy.${name}`, value]);
  return { ...plain, ...layout, ...space, ...coldRead, ...model, ...Object.fromEntries(copied) };
}

/** A row for each sample of each run; `hash` is that of the configuration. */
export function samplesCsv(runs: readonly FinishedRun[], hash: string): string {
  return csvOf(
    runs.flatMap(({ policy, workload, seed, result }) =>
      result.samples.map((sample) => ({ configuration: hash, policy, workload, seed, ...figuresOf(sample) })),
    ),
  );
}

export function rankingCsv(rankings: readonly Ranking[], hash: string): string {
  const head = ['configuration', 'workload', 'measure', 'rank', 'policy', 'mean', 'low', 'high', 'toBest'];
  const rows = rankings.flatMap(({ workload, measure, policies }) =>
    policies.map(({ policy, estimate: { mean, low, high }, rank, toBest }) => [
      ...[hash, workload, measure, rank, policy, mean, low, high, toBest],
    ]),
  );
  return csv([head, ...rows]);
}

/** What each run cost on this machine. */
export function costsCsv(runs: readonly FinishedRun[], hash: string): string {
  return csvOf(
    runs.map(({ policy, workload, seed, result }) => ({
      ...{ configuration: hash, policy, workload, seed },
      ...result.cost,
    })),
  );
}

/** Columns of even width, the first to the left and the others to the right. */
export function alignedTable(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    rows.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return rows.map((row) => `${line(row)}\n`).join('');
}

/** Three or four digits that say something. */
export function shortNumber(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const size = Math.abs(value);
  if (size >= 1000) return value.toFixed(0);
  if (size >= 100) return value.toFixed(1);
  return size >= 10 ? value.toFixed(2) : value.toFixed(3);
}

/** A policy a row, a measure a column; `*` where it is the best or cannot be told from it. */
export function workloadTable(rankings: readonly Ranking[], workload: string): string {
  const own = rankings.filter((ranking) => ranking.workload === workload);
  const policies = own[0]?.policies.map(({ policy }) => policy) ?? [];
  const measured = MEASURES.filter(
    ({ name, isShown }) =>
      isShown && own.some(({ measure, policies: ranked }) => measure === name && ranked.length > 0),
  );
  const rows = policies.map((policy) => [
    policy,
    ...measured.map(({ name }) => {
      const place = own
        .find(({ measure }) => measure === name)
        ?.policies.find((one) => one.policy === policy);
      if (place === undefined) return '-';
      return `${shortNumber(place.estimate.mean)}${isAmongBest(place) ? '*' : ' '}`;
    }),
  ]);
  return alignedTable([[workload, ...measured.map(({ title }) => title)], ...rows]);
}

export function overallTable(title: string, overall: readonly OverallRank[]): string {
  const rows = overall.map(({ policy, meanRank, bestOn, workloads }) => [
    policy,
    meanRank.toFixed(2),
    `${bestOn} of ${workloads}`,
  ]);
  return alignedTable([[title, 'mean rank', 'best or not told from it'], ...rows]);
}
