/**
 * The examples of docs/AIO.md: the document shows the programs of examples/aio as they are, and
 * they do what they say.
 */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { pattern, temporaryFile, temporaryFolder, undoAfterAll } from '../suite/aio-conformance-targets.ts';

const FOLDER = fileURLToPath(new URL('../../examples/aio/', import.meta.url));
const DOCUMENT = readFileSync(new URL('../../docs/AIO.md', import.meta.url), 'utf8');

undoAfterAll();

/** Runs an example that must end well; what it printed, in lines. */
async function run(name: string, ...words: string[]): Promise<string[]> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(FOLDER, name), ...words]);
  expect(stderr).toBe('');
  return stdout.trimEnd().split('\n');
}

test('the document shows every program of the folder, and no other', () => {
  const shown = [...DOCUMENT.matchAll(/^```js\n\/\/ examples\/aio\/(\S+)\n([\s\S]*?)^```$/gm)];
  expect(shown.map(([, name]) => name).sort()).toEqual(readdirSync(FOLDER).sort());
  for (const [, name, text] of shown) expect(text, name).toBe(readFileSync(join(FOLDER, `${name}`), 'utf8'));
  expect(DOCUMENT.match(/^```js$/gm)).toHaveLength(shown.length);
});

test('the document names every option', () => {
  const declared = readFileSync(new URL('../../src/aio/file/async-file.ts', import.meta.url), 'utf8');
  const interfaces = declared.matchAll(/^export interface (\w*Options)[^{]*\{([\s\S]*?)^\}/gm);
  for (const [, of, body = ''] of interfaces) {
    for (const [, name] of body.matchAll(/^ {2}readonly (\w+)/gm)) {
      expect(DOCUMENT, `${of}.${name}`).toContain(`\`${name}\``);
    }
  }
});

describe('the examples', () => {
  test('first.js', async () => {
    const [engine, tail, error] = await run('first.js', join(temporaryFolder(), 'new'));
    expect(engine).toMatch(/^engine (uring|aio|direct), sectors of \d+ bytes$/);
    expect(tail).toBe('20 bytes after the first block: and a few bytes more');
    expect(error).toBe('EINVAL from lseek');
  });

  test('copy-disk.js', async () => {
    const content = pattern(3_500_001);
    const source = temporaryFile(content);
    const target = temporaryFile(4_000_000);
    const [line] = await run('copy-disk.js', source, target);
    expect(line).toMatch(/^3500001 bytes copied by engines/);
    const copied = readFileSync(target);
    expect(copied.length).toBe(4_000_000);
    expect(copied.subarray(0, content.length).equals(content)).toBe(true);
  });

  test('log.js', async () => {
    const path = join(temporaryFolder(), 'log');
    expect(await run('log.js', path, 'one', '', 'three ✓')).toEqual(['one', '', 'three ✓']);
    expect(await run('log.js', path, 'four')).toEqual(['one', '', 'three ✓', 'four']);
  });

  test('scan-device.js', async () => {
    const content = Buffer.alloc(40 * 65_536 + 100);
    content[65_536] = 1;
    content[40 * 65_536 + 99] = 1;
    const lines = await run('scan-device.js', temporaryFile(content));
    expect(lines).toEqual(['41 blocks of 65536 bytes, 2 not all zero, 0 unreadable']);
  });
});
