// @ts-check
/**
 * Reads the text of src/fs/format/format.ts: what it exports, in order, with the doc comment of
 * each declaration and of each member. What the declarations mean (offsets, sizes, values) is not
 * read here but taken from the compiled module.
 */

/**
 * @typedef {{ name: string, kind: 'record' | 'table' | 'constant', comment: string, members:
 * Map<string, string> }} Declaration
 */

/**
 * The words of a comment: without stars, with its paragraphs and indented lines kept.
 * @param {string[]} lines
 */
function commentText(lines) {
  const words = lines.map((line) => line.replace(/^\s*\/?\*{1,2}\/?\s?/, '').replace(/\s*\*\/\s*$/, ''));
  return words.join('\n').trim();
}

/**
 * The doc comment that ends at line `end`, exclusive; empty if there is none.
 * @param {string[]} lines
 * @param {number} end
 */
function commentBefore(lines, end) {
  if (!(lines[end - 1] ?? '').trimEnd().endsWith('*/')) return '';
  let start = end - 1;
  while (start >= 0 && !lines[start].trimStart().startsWith('/**')) start--;
  return start < 0 ? '' : commentText(lines.slice(start, end));
}

/**
 * Members of a declaration that begins at line `from`.
 * @param {string[]} lines
 * @param {number} from
 */
function membersFrom(lines, from) {
  /** @type {Map<string, string>} */
  const members = new Map();
  if (/[;]\s*$/.test(lines[from])) return members;
  for (let at = from + 1; at < lines.length && !/^}/.test(lines[at]); at++) {
    const member = /^ {2}(\w+):/.exec(lines[at]);
    if (member) members.set(member[1], commentBefore(lines, at));
  }
  return members;
}

/** @param {string} text of format.ts @returns {Declaration[]} */
export function readDeclarations(text) {
  const lines = text.split('\n');
  /** @type {Declaration[]} */
  const declarations = [];
  for (const [at, line] of lines.entries()) {
    const found = /^export const (\w+)(?:: [^=]+)? = (record\(|\{)?/.exec(line);
    if (!found) continue;
    const [, name, opening] = found;
    const kind = opening === 'record(' ? 'record' : opening === '{' ? 'table' : 'constant';
    const members = kind === 'constant' ? new Map() : membersFrom(lines, at);
    declarations.push({ name, kind, comment: commentBefore(lines, at), members });
  }
  return declarations;
}
