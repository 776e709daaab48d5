/** The table of problems in docs/FSCK.md is the one in the code. `UPDATE_DOCS=1` writes it anew. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { PROBLEMS } from '../../src/check/problem.ts';

const DOCUMENT = fileURLToPath(new URL('../../docs/FSCK.md', import.meta.url));
const SECTION = /(<!-- problems:[^>]*-->\n)[\s\S]*(<!-- end of problems -->)/;

function table(): string {
  const rows = Object.entries(PROBLEMS).map(
    ([code, { text, remedy, repair }]) =>
      `| \`${code}\` | ${text} | ${remedy} | ${repair === 'safe' ? 'safe' : ''} |`,
  );
  return ['', '| code | what is found | what a repair does | |', '|---|---|---|---|', ...rows, '', ''].join(
    '\n',
  );
}

/** The formatter makes the columns of tables equally wide. */
function unpadded(text: string): string {
  return text
    .replace(/ +\|/g, ' |')
    .replace(/-{3,}/g, '---')
    .replace(/\| --- /g, '|---')
    .replace(/--- \|/g, '---|');
}

test('docs/FSCK.md lists the problems as they are', () => {
  const now = readFileSync(DOCUMENT, 'utf8');
  const wanted = now.replace(SECTION, (_, head: string, tail: string) => `${head}${table()}${tail}`);
  if (process.env.UPDATE_DOCS) writeFileSync(DOCUMENT, wanted);
  else expect(unpadded(now)).toBe(unpadded(wanted));
});

test('the section is there', () => {
  expect(readFileSync(DOCUMENT, 'utf8')).toMatch(SECTION);
});
