/**
 * The documents as a reader has them: their blocks of code, the commands in them, and what a
 * sentence puts between backticks. Tests run the commands, or look whether there is such a thing.
 *
 * A block says what it is: `sh` has commands, a line each; `console` a transcript, commands behind
 * `$ ` and below each what it says; `js` and `ts` programs; `text` is for reading.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** All documents that are written by hand, by their path from the root of the project. */
export const DOCUMENTS: readonly string[] = [
  ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'],
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

export interface Block {
  readonly document: string;
  /** Of the line that opens it, the first being 1. */
  readonly line: number;
  readonly language: string;
  readonly lines: readonly string[];
}

export interface ShownCommand {
  readonly document: string;
  readonly line: number;
  /** Without what a `#` says behind it; lines that go on are one. */
  readonly text: string;
  /** What a transcript says that it says; undefined where it is no transcript. */
  readonly output: readonly string[] | undefined;
  /** The document says that it is refused. */
  readonly isRefused?: boolean;
}

/** A text without its blocks of code, and these. */
export interface Page {
  readonly blocks: readonly Block[];
  /** Lines outside of blocks; those of a block are empty. */
  readonly prose: readonly string[];
}

export function pageOf(document: string): Page {
  const blocks: Block[] = [];
  const prose: string[] = [];
  let open: { line: number; indent: number; language: string; lines: string[] } | undefined;
  for (const [index, line] of readFileSync(join(ROOT, document), 'utf8').split('\n').entries()) {
    const fence = /^( *)```(.*)$/.exec(line);
    prose.push(fence || open ? '' : line);
    if (fence && open) {
      blocks.push({ document, ...open });
      open = undefined;
    } else if (fence) {
      const [, indent = '', language = ''] = fence;
      open = { line: index + 1, indent: indent.length, language, lines: [] };
    } else open?.lines.push(line.slice(open.indent));
  }
  if (open) throw new Error(`${document}:${open.line}: a block of code has no end`);
  return { blocks, prose };
}

/** What stands behind a `#` is for the reader; in quotes it is no such thing. */
function withoutComment(line: string): string {
  return line.replace(/^((?:[^'"#]|'[^']*'|"[^"]*"|(?<=\S)#)*?)\s+#.*$/, '$1').trimEnd();
}

function commandsOfBlock({ document, line: opened, language, lines }: Block): ShownCommand[] {
  const isTranscript = language === 'console';
  const commands: { document: string; line: number; text: string; output: string[] | undefined }[] = [];
  let goesOn = false;
  for (const [index, line] of lines.entries()) {
    const last = commands.at(-1);
    if (goesOn && last) last.text += ` ${withoutComment(line.trim())}`;
    else if (!isTranscript || line.startsWith('$ ')) {
      const text = withoutComment(isTranscript ? line.slice(2) : line);
      if (text)
        commands.push({ document, line: opened + 1 + index, text, output: isTranscript ? [] : undefined });
    } else last?.output?.push(line);
    const now = commands.at(-1);
    goesOn = now?.text.endsWith('\\') ?? false;
    if (now && goesOn) now.text = now.text.slice(0, -1).trimEnd();
  }
  return commands;
}

/** The commands of the blocks of a document, in their order. */
export function commandsOf(document: string): ShownCommand[] {
  return pageOf(document)
    .blocks.filter(({ language }) => language === 'sh' || language === 'console')
    .flatMap(commandsOfBlock);
}

/** What stands between backticks outside of blocks, each on one line. */
export function spansOf(document: string): string[] {
  const paragraphs = pageOf(document)
    .prose.join('\n')
    .split(/\n\s*\n/);
  return paragraphs.flatMap((paragraph) =>
    [...paragraph.matchAll(/(?<!`)`([^`]+)`(?!`)/g)].map(([, span = '']) => span.replace(/\s+/g, ' ').trim()),
  );
}

/**
 * The commands in the second column of the tables of a document, in their order: what stands there
 * between backticks and begins with a program. Behind the word "refused" they fail.
 */
export function commandsOfRows(document: string): ShownCommand[] {
  return pageOf(document).prose.flatMap((line, index) => {
    const cell = /^\|[^|]*\|([^|]*)\|/.exec(line)?.[1] ?? '';
    return [...cell.matchAll(/`([^`]+)`/g)]
      .map(([, text = '']) => text)
      .filter((text) => /^(?:[A-Z_]+=\S+ )?[a-z][\w-]* /.test(text))
      .map((text) => ({
        ...{ document, line: index + 1, text, output: undefined },
        isRefused: cell.trim().startsWith('refused'),
      }));
  });
}
