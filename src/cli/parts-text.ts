/**
 * Parts of blocks as text and as JSON: a table of fields for each record, one line for each entry
 * of a list.
 */
import type { Part } from '../inspect/block-parts.ts';
import { type FieldRow, jsonValue } from '../inspect/field-rows.ts';
import { spacedHex } from '../inspect/value-text.ts';

/** So many bytes of a field are shown; the rest would not fit the line. */
const MOST_BYTES = 8;

function bytesText(bytes: Uint8Array): string {
  return spacedHex(bytes.subarray(0, MOST_BYTES)) + (bytes.length > MOST_BYTES ? ' …' : '');
}

function valueText({ value, meaning }: FieldRow): string {
  if (value instanceof Uint8Array) return meaning ?? '';
  return meaning === undefined ? `${value}` : `${value} (${meaning})`;
}

function listedLine({ title, rows, notes = [] }: Part): string {
  const fields = rows.map((row) => `${row.name} ${valueText(row)}`);
  const offset = rows[0] === undefined ? '' : `${rows[0].offset}`;
  return `${offset.padStart(8)}  ${[`${title}:`, fields.join(', '), ...notes].join(' ')}`;
}

/** A record with its fields: where each is, its bytes, and what they say. */
function tableLines({ title, rows, notes = [] }: Part): string[] {
  const width = Math.max(...rows.map(({ name }) => name.length), 0);
  const bytesWidth = Math.max(...rows.map(({ bytes }) => bytesText(bytes).length), 0);
  const lines = rows.map((row) => {
    const cells = [
      `${row.offset}`.padStart(8),
      bytesText(row.bytes).padEnd(bytesWidth),
      row.name.padEnd(width),
    ];
    return `${cells.join('  ')}  ${valueText(row)}`.trimEnd();
  });
  return [title, ...lines, ...notes.map((note) => `          ${note}`)];
}

/** The parts as text: offsets count from the start of the block. */
export function partsText(parts: readonly Part[]): string {
  const lines: string[] = [];
  let listed = false;
  for (const part of parts) {
    if (lines.length > 0 && !part.listed) lines.push('');
    if (part.listed && !listed && lines.length > 0) lines.push('');
    lines.push(...(part.listed ? [listedLine(part)] : tableLines(part)));
    listed = part.listed ?? false;
  }
  return `${lines.join('\n')}\n`;
}

/** The parts as data for JSON. */
export function partsJson(parts: readonly Part[]): unknown[] {
  return parts.map(({ title, rows, notes }) => ({
    title,
    offset: rows[0]?.offset,
    fields: Object.fromEntries(rows.map((row) => [row.name, jsonValue(row)])),
    ...(notes && notes.length > 0 ? { notes } : {}),
  }));
}
