// @ts-check
/**
 * `npm run docs`: the documents as a static site with a search, in site/dist, by VitePress.
 *
 * The pages are docs/ as it is, with the README as the first one. Links to what is not a page, such
 * as a source, become its name. A link to a page that is not there fails the build.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build, ROOT, runHere } from './build.mjs';
import { SITE, siteProgram } from './site.mjs';

const DOCS = join(ROOT, 'docs');
const PAGES = join(SITE, 'pages');
const PICTURE = /\.(svg|png)$/;

/**
 * @param {string} text
 * @param {string} from folder of the document, where its links begin
 */
function forSite(text, from) {
  return text.replace(/(!?)\[([^\]]*)\]\(([^)\s]+)\)/g, (whole, picture, words, link) => {
    if (/^[a-z]+:|^#/.test(link)) return whole;
    const [path = '', place = ''] = link.split(/(?=#)/);
    const target = relative(DOCS, join(from, path));
    if (
      target.startsWith('..') ||
      !existsSync(join(DOCS, target)) ||
      statSync(join(DOCS, target)).isDirectory()
    )
      return words;
    return `${picture}[${words}](/${target}${place})`;
  });
}

/** @param {string} source @param {string} target */
function layPage(source, target) {
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, forSite(readFileSync(source, 'utf8'), dirname(source)));
}

if (!(await build())) process.exit(2);
const program = await siteProgram('vitepress');
rmSync(PAGES, { recursive: true, force: true });
for (const name of readdirSync(DOCS, { recursive: true, encoding: 'utf8' })) {
  if (name.endsWith('.md')) layPage(join(DOCS, name), join(PAGES, name));
  else if (PICTURE.test(name)) {
    cpSync(join(DOCS, name), join(PAGES, name));
    cpSync(join(DOCS, name), join(PAGES, 'public', name));
  }
}
cpSync(join(ROOT, 'src/page/icon.svg'), join(PAGES, 'public/icon.svg'));
layPage(join(ROOT, 'README.md'), join(PAGES, 'index.md'));
const status = await runHere(program, ['build', SITE]);
if (status === 0) console.log(`the site is in ${relative(process.cwd(), join(SITE, 'dist'))}`);
process.exitCode = status;
