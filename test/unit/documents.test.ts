/**
 * What the documents name is there: commands with their options, scripts of npm with theirs, test
 * files, mount options, other pages. Whether commands do what they show is for
 * test/mount/documents.test.ts, which runs them.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { CommandDefinition } from '../../src/cli/command.ts';
import { allCommands } from '../../src/cli/program.ts';
import { commandsOf, DOCUMENTS, pageOf, ROOT, spansOf } from '../suite/documents.ts';

const LANGUAGES = ['sh', 'console', 'js', 'ts', 'text'];
/** Longer ones go beyond what a page shows of a table. */
const LONGEST_ROW = 200;

describe.each(DOCUMENTS)('%s', (document) => {
  const { blocks, prose } = pageOf(document);

  test('each block says what it is, and none is made by indenting', () => {
    for (const { line, language } of blocks) expect(LANGUAGES, `${document}:${line}`).toContain(language);
    const indented = prose.filter((line, index) => /^ {4}\S/.test(line) && prose[index - 1] === '');
    expect(indented).toEqual([]);
  });

  test('its links lead somewhere', () => {
    const links = [...prose.join('\n').matchAll(/\]\(([^)\s#]+)[^)]*\)/g)].map(([, link = '']) => link);
    const files = links.filter((link) => !/^[a-z]+:/.test(link));
    expect(files.filter((link) => !existsSync(join(ROOT, dirname(document), link)))).toEqual([]);
  });
});

test('no row of a table in the README or the comparison is longer than a page is wide', () => {
  for (const document of ['README.md', 'docs/COMPARISON.md']) {
    const rows = pageOf(document).prose.filter((line) => line.startsWith('|'));
    expect(rows.length).toBeGreaterThan(10);
    expect(rows.filter((line) => line.length > LONGEST_ROW)).toEqual([]);
  }
});

/** Command lines of a text: what is behind `|`, `&&` and the like is one of its own. */
function lineWords(text: string): string[][] {
  const lines = text.replace(/<\(|\$\(|[()]/g, ' | ').split(/\s(?:\||&&|;)\s|[<>]/);
  return lines.map((line) => line.trim().split(/\s+/).filter(Boolean));
}

const texts = DOCUMENTS.flatMap((document) => [
  ...commandsOf(document).map(({ text }) => text),
  ...spansOf(document),
]);
const commandLines = texts.flatMap(lineWords);

const all = await allCommands();

/** The definition that words mean, and the words behind its name; what is named, if it is none. */
async function definitionOf(words: readonly string[]): Promise<CommandDefinition | string> {
  const found = all.find(({ name }) => name === words[0]);
  if (!found) return `${words[0]}`;
  if (!('commands' in found)) return found;
  const load = found.commands.get(`${words[1]}`);
  return load ? load() : `${words[0]} ${words[1]}`;
}

function flagsOf({ options }: CommandDefinition): string[] {
  return ['-h', '--help', ...options.flatMap(({ flags }) => flags.match(/(?<!\S)--?[\w-]+/g) ?? [])];
}

/** Words that no definition has, and that make sense all the same. */
const OTHER_WORDS = new Set(['help', 'version', '…', '--help', '-V', '--version']);

describe('the command', () => {
  const quarryLines = commandLines.filter(([first]) => first === 'quarry').map((words) => words.slice(1));

  test('has every command and option that a document names', async () => {
    expect(quarryLines.length).toBeGreaterThan(150);
    const unknown: string[] = [];
    for (const words of quarryLines) {
      if (words.length === 0 || OTHER_WORDS.has(`${words[0]}`)) continue;
      const definition = await definitionOf(words);
      if (typeof definition === 'string') {
        // A family may be named without one of its commands.
        const isFamily = all.some(({ name }) => name === words.join(' '));
        if (!isFamily) unknown.push(definition);
        continue;
      }
      const flags = flagsOf(definition);
      const named = words.flatMap((word) => /^(--?[a-zA-Z][\w-]*)/.exec(word)?.[1] ?? []);
      // Short options may stand together.
      const isKnown = (flag: string) =>
        flags.includes(flag) ||
        (/^-\w{2,}$/.test(flag) && [...flag.slice(1)].every((letter) => flags.includes(`-${letter}`)));
      unknown.push(...named.filter((flag) => !isKnown(flag)).map((flag) => `${definition.name} ${flag}`));
    }
    expect(unknown).toEqual([]);
  });
});

/** Where scripts read their options, if not in the file that npm runs. */
const READ_ELSEWHERE: Record<string, readonly string[]> = {
  crash: ['test/crash/cli.ts'],
  bench: ['bench/main.mjs'],
};

describe('scripts', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const runs = commandLines.flatMap((words) => {
    const at = words.indexOf('npm');
    if (at < 0) return [];
    const [verb, ...rest] = words.slice(at + 1);
    if (verb === 'run') return [{ name: `${rest[0]}`, words: rest.slice(1) }];
    return verb === 'test' || verb === 'start' ? [{ name: verb, words: rest }] : [];
  });

  test('are there', () => {
    expect(runs.length).toBeGreaterThan(20);
    expect(runs.filter(({ name }) => scripts[name] === undefined)).toEqual([]);
  });

  test('have the options that are named', () => {
    for (const { name, words } of runs.filter((run) => run.words.some((word) => /^--\w/.test(word)))) {
      const [, file = ''] = /^node (scripts\/\S+)/.exec(`${scripts[name]}`) ?? [];
      const sources = [file, ...(READ_ELSEWHERE[name] ?? [])];
      const source = sources.map((path) => readFileSync(join(ROOT, path), 'utf8')).join('\n');
      for (const word of words.filter((each) => /^--\w/.test(each))) {
        const isOption = new RegExp(
          `^\\s+'?${word.slice(2)}'?: (?:\\w+,|\\{ type)|[{,] '?${word.slice(2)}'?: \\w+`,
          'm',
        );
        expect(isOption.test(source), `npm run ${name} -- ${word}`).toBe(true);
      }
    }
  });

  test('a word behind vitest is that of a test file', () => {
    const files = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.test.ts'))
      .map((path) => `test/${path}`);
    const filters = commandLines
      .filter((words) => words.includes('vitest'))
      .flatMap((words) => words.slice(words.indexOf('vitest') + 2))
      .filter((word, index, all) => !word.startsWith('-') && all[index - 1] !== '-t');
    expect(filters.length).toBeGreaterThan(4);
    for (const filter of filters)
      expect(
        files.filter((path) => path.includes(filter)),
        filter,
      ).not.toEqual([]);
  });
});
