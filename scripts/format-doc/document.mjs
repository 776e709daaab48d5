// @ts-check
/**
 * docs/FORMAT.md from its template: prose with places for what is generated.
 *
 *   {{record Inode}}            the fields of a record, with offsets, sizes, types and comments of src/fs/format/format.ts
 *   {{table BlockKind}}         names and numbers
 *   {{constants MAGIC …}}       constants
 *   {{layout MIN_JOURNAL_BLOCKS}}   a constant of src/fs/format/layout.ts, as a number
 *   {{example superblock}}      a piece of the worked example
 *
 * Everything that format.ts exports must have its place in the template.
 */
import { makeExample } from './example.mjs';
import { readDeclarations } from './source.mjs';
import * as tables from './tables.mjs';

/** @typedef {import('./source.mjs').Declaration} Declaration */

class Generator {
  /** Exports not shown yet. @type {Map<string, Declaration>} */
  #declarations;
  /** @type {Set<string>} */
  shown = new Set();

  /**
   * @param {Record<string, any>} modules
   * @param {Declaration[]} declarations
   * @param {Record<string, string>} example
   */
  constructor(modules, declarations, example) {
    this.modules = modules;
    this.example = example;
    this.#declarations = new Map(declarations.map((declaration) => [declaration.name, declaration]));
  }

  /**
   * @param {string} name
   * @param {Declaration['kind']} kind
   * @returns {{ declaration: Declaration, value: any }}
   */
  #take(name, kind) {
    const declaration = this.#declarations.get(name);
    if (declaration?.kind !== kind) throw new Error(`src/fs/format/format.ts exports no ${kind} ${name}`);
    this.shown.add(name);
    return { declaration, value: this.modules.format[name] };
  }

  /** @param {string} what @param {string[]} names */
  render(what, names) {
    const [name] = names;
    if (what === 'record') {
      const { declaration, value } = this.#take(name, 'record');
      return tables.recordTable(declaration, value);
    }
    if (what === 'table') {
      const { declaration, value } = this.#take(name, 'table');
      return tables.valueTable(declaration, value);
    }
    if (what === 'constants') return tables.constantTable(names.map((each) => this.#take(each, 'constant')));
    if (what === 'layout') return tables.valueText(required(this.modules.layout, name));
    if (what === 'example') return required(this.example, names.join(' '));
    throw new Error(`the template asks for '${what}'`);
  }
}

/** @param {Record<string, any>} table @param {string} name */
function required(table, name) {
  const value = table[name];
  if (value === undefined) throw new Error(`the template asks for '${name}', which is not there`);
  return value;
}

/**
 * @param {import('./document').FormatModules} modules the compiled modules of src/
 * @param {string} source text of src/fs/format/format.ts
 * @param {string} template
 * @returns {Promise<string>} the text of docs/FORMAT.md
 */
export async function makeFormatDocument(modules, source, template) {
  const declarations = readDeclarations(source);
  const example = await makeExample({ ...modules, tables });
  const generator = new Generator(modules, declarations, example);
  const text = template.replace(/\{\{(\w+) ([^}]+)\}\}/g, (_, what, names) =>
    generator.render(what, names.trim().split(/\s+/)),
  );
  const missing = declarations.filter(({ name }) => !generator.shown.has(name));
  if (missing.length > 0)
    throw new Error(`the template leaves out ${missing.map(({ name }) => name).join(', ')}`);
  const unread = Object.keys(modules.format).filter((name) => !generator.shown.has(name));
  if (unread.length > 0)
    throw new Error(`the reader of src/fs/format/format.ts did not find ${unread.join(', ')}`);
  return text;
}
