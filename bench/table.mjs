// @ts-check
/**
 * From numbers to what is read: medians, ratios against the other systems, targets met or missed,
 * one text table.
 */

/**
 * What this project promises itself: Quarry over the other, in the same run.
 * @type {{ rows: string[], over: string, atLeast: number }[]}
 */
export const TARGETS = [
  { rows: ['create', 'stat', 'stat-missing', 'unlink'], over: 'fuse2fs', atLeast: 6 },
  { rows: ['create', 'stat', 'stat-missing', 'unlink'], over: 'ntfs-3g', atLeast: 1 },
  { rows: ['cp'], over: 'fuse2fs', atLeast: 2.5 },
  { rows: ['cp'], over: 'ext4', atLeast: 0.4 },
  { rows: ['write', 'read'], over: 'fuse2fs', atLeast: 2.5 },
  { rows: ['write', 'read'], over: 'ext4', atLeast: 0.4 },
  { rows: ['randread-32', 'randwrite-32'], over: 'fuse2fs', atLeast: 2 },
  { rows: ['randread-32', 'randwrite-32'], over: 'ext4', atLeast: 0.25 },
  { rows: ['read-1m', 'write-1m'], over: 'fuse2fs', atLeast: 3 },
];

/**
 * @typedef {Record<string, Record<string, number[]>>} Measured system → row → the value of each run
 */

/** @param {number[] | undefined} values */
export function median(values) {
  if (!values?.length) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (Number(sorted[middle - 1]) + Number(sorted[middle])) / 2;
}

/**
 * @param {Measured} measured
 * @param {string} system
 * @param {string} other
 * @param {string} row
 */
function ratio(measured, system, other, row) {
  const ours = median(measured[system]?.[row]);
  const theirs = median(measured[other]?.[row]);
  return ours === undefined || theirs === undefined ? undefined : ours / theirs;
}

/**
 * @param {Measured} measured
 * @param {import('./rows.mjs').Row[]} rows
 */
export function medianTable(measured, rows) {
  const systems = Object.keys(measured);
  return layOut([
    ['', '', ...systems],
    ...rows.map((row) => [
      row.name,
      row.unit,
      ...systems.map((system) => formatNumber(median(measured[system]?.[row.name]))),
    ]),
  ]);
}

/**
 * Each Quarry variant over each other system, with the target and whether it was met.
 * @param {Measured} measured
 * @param {import('./rows.mjs').Row[]} rows
 */
export function ratios(measured, rows) {
  const systems = Object.keys(measured);
  const others = systems.filter((system) => !system.startsWith('quarry'));
  return systems
    .filter((system) => system.startsWith('quarry'))
    .flatMap((system) => others.flatMap((over) => rows.map(({ name: row }) => ({ system, over, row }))))
    .map((one) => {
      const target = TARGETS.find(({ rows: of, over }) => over === one.over && of.includes(one.row))?.atLeast;
      const value = ratio(measured, one.system, one.over, one.row);
      const met = target === undefined || value === undefined ? undefined : value >= target;
      return { ...one, ratio: value, target, met };
    })
    .filter((one) => one.ratio !== undefined);
}

/** @param {ReturnType<typeof ratios>} found @param {import('./rows.mjs').Row[]} rows */
export function ratioTable(found, rows) {
  return [...new Set(found.map(({ system }) => system))]
    .map((system) => {
      const others = [...new Set(found.filter((one) => one.system === system).map(({ over }) => over))];
      const cell = (/** @type {string} */ row, /** @type {string} */ over) => {
        const one = found.find((each) => each.system === system && each.row === row && each.over === over);
        if (one?.ratio === undefined) return '-';
        const goal = one.target === undefined ? '' : ` (≥${one.target} ${one.met ? 'met' : 'MISSED'})`;
        return `${one.ratio.toFixed(2)}${goal}`;
      };
      return layOut([
        [`${system} over`, ...others],
        ...rows.map(({ name }) => [name, ...others.map((over) => cell(name, over))]),
      ]);
    })
    .join('\n\n');
}

/** @param {number | undefined} value */
function formatNumber(value) {
  return value === undefined ? '-' : Math.round(value).toLocaleString('en-US');
}

/** The first column left, the others right. @param {string[][]} lines */
export function layOut(lines) {
  const widths =
    lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
        )
        .join('  '),
    )
    .join('\n');
}
