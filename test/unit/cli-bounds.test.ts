/**
 * What others chose the length of, a server's answer or the name of a directory, stays within
 * bounds.
 */
import { describe, expect, test } from 'vitest';
import { logName } from '../../src/cli/log-file.ts';
import { flattenCounters } from '../../src/cli/stat-command.ts';
import { factLines } from '../../src/cli/table-text.ts';

const LONG = 'x'.repeat(400_000);
const MOST_TEXT_BYTES = 4 * 1024 * 1024;

describe('counters of a hostile server', () => {
  test.each([
    ['a long name beside many others', Object.fromEntries([[LONG, 1], ...Array(60_000).entries()])],
    ['many within a long name', { [LONG]: { [LONG]: Array(60_000).fill(0) } }],
    ['more than a function takes arguments', Array(400_000).fill(0)],
  ])('%s', (_, answer) => {
    const text = factLines(flattenCounters(JSON.parse(JSON.stringify(answer))));
    expect(text.length).toBeGreaterThan(0);
    expect(text.length).toBeLessThan(400_000 * 80 + MOST_TEXT_BYTES);
    for (const line of text.split('\n')) expect(line.length).toBeLessThan(1000);
  });
});

describe('the log of a mountpoint', () => {
  test.each(['/mnt/data', `/${'d'.repeat(250)}/mnt`, `/${'目'.repeat(80)}/資料`, `/a${'😀'.repeat(60)}`])(
    'has a name that a directory takes: %s',
    (directory) => {
      const name = logName(directory);
      expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
      expect(name).not.toMatch(/^\ufffd|\//);
      expect(Buffer.from(name).toString()).toBe(name);
      expect(logName(directory)).toBe(name);
    },
  );
});
