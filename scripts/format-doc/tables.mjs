// @ts-check
/**
 * Markdown tables of the declarations in src/fs/format/format.ts, aligned as the formatter wants
 * them.
 */

/** @typedef {import('./source.mjs').Declaration} Declaration */
/**
 * @typedef {{ recordName: string, sizeBytes: number, fields: Record<string, { offset: number,
 * lengthBytes: number, type: string }> }} RecordInfo
 */

/** @param {string[]} head @param {string[][]} rows @param {Set<number>} right columns of numbers */
export function markdownTable(head, rows, right = new Set()) {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const widths = head.map((_, i) => Math.max(3, ...cells.map((row) => [...row[i]].length)));
  /** @param {string[]} row */
  const line = (row) =>
    `| ${row.map((cell, i) => (right.has(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join(' | ')} |`;
  const rule = widths.map((width, i) => (right.has(i) ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width)));
  const [first, ...rest] = cells;
  return [line(first), `| ${rule.join(' | ')} |`, ...rest.map(line)].join('\n');
}

/** `linkCount` as words: what a field is that needs no comment. @param {string} name */
function wordsOf(name) {
  const words = name.replace(/(?<=[a-z])[A-Z0-9]/g, (letter) => ` ${letter.toLowerCase()}`);
  return `${words[0].toUpperCase()}${words.slice(1)}.`;
}

/** A comment as one line. @param {string} comment */
function oneLine(comment) {
  return comment.replace(/\s+/g, ' ');
}

/** @param {string} name @param {string} comment */
function fieldDescription(name, comment) {
  if (comment !== '') return oneLine(comment);
  if (name.startsWith('reserved')) return 'Zero.';
  if (name === 'common') return 'The fields of `BlockHeader` up to here.';
  return wordsOf(name);
}

/** @param {Declaration} declaration @param {RecordInfo} record */
export function recordTable(declaration, record) {
  const rows = Object.entries(record.fields).map(([name, { offset, lengthBytes, type }]) => [
    `${offset}`,
    `${lengthBytes}`,
    type,
    name,
    fieldDescription(name, declaration.members.get(name) ?? ''),
  ]);
  const head = ['OFFSET', 'SIZE', 'TYPE', 'FIELD', 'DESCRIPTION'];
  const title = `**\`${declaration.name}\`**, ${record.sizeBytes} bytes`;
  return `${title}\n\n${markdownTable(head, rows, new Set([0, 1]))}`;
}

/**
 * Small numbers as they are, round large ones as powers, bits of a mode in octal.
 * @param {unknown} value
 * @param {boolean} octal
 */
export function valueText(value, octal = false) {
  if (value instanceof Uint8Array)
    return [...value].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  if (typeof value !== 'number') return `${value}`;
  if (octal) return `0o${value.toString(8).padStart(6, '0')}`;
  const power = Math.log2(value);
  return value >= 2 ** 20 && Number.isInteger(power) ? `2^${power}` : `${value}`;
}

/**
 * A table of names and numbers.
 * @param {Declaration} declaration
 * @param {Record<string, number>} values
 */
export function valueTable(declaration, values) {
  const octal = declaration.name === 'FileType';
  const rows = Object.entries(values).map(([name, value]) => [
    valueText(value, octal),
    name,
    oneLine(declaration.members.get(name) ?? ''),
  ]);
  const described = rows.some(([, , description]) => description !== '');
  const head = ['VALUE', 'NAME', 'DESCRIPTION'];
  const shown = described ? rows : rows.map((row) => row.slice(0, 2));
  const table = markdownTable(described ? head : head.slice(0, 2), shown, new Set([0]));
  return `**\`${declaration.name}\`**\n\n${table}`;
}

/** Constants, one a line. @param {{ declaration: Declaration, value: unknown }[]} constants */
export function constantTable(constants) {
  const rows = constants.map(({ declaration, value }) => [
    declaration.name,
    valueText(value, declaration.name === 'FILE_TYPE_MASK'),
    oneLine(declaration.comment),
  ]);
  return markdownTable(['CONSTANT', 'VALUE', 'DESCRIPTION'], rows, new Set([1]));
}
