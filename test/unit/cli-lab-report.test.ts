/** The report: the same twice, one file that needs no other, names of anybody's, and its slider. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseHTML } from 'linkedom';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { missingLine } from '../../src/cli/lab-report-command.ts';
import { ExtentCounter } from '../../src/lab/measures/extent-counts.ts';
import { decodedMap, encodedMap } from '../../src/lab/measures/layout-map.ts';
import { WriteTrace } from '../../src/lab/measures/write-trace.ts';
import { loadCharts } from '../../src/lab/report/charts.ts';
import { shortLabel } from '../../src/lab/report/figure.ts';
import { removeReport } from '../../src/lab/report/old-report.ts';
import { commandOf } from '../../src/lab/report/page.ts';
import { ReportData } from '../../src/lab/report/report-data.ts';
import { writeReport } from '../../src/lab/report/write-report.ts';
import { fileName, readResults } from '../../src/lab/results-directory.ts';
import { HeadlessPage, hasChromium } from './headless-page.ts';

const QUARRY = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'quarry-lab-report-'));
afterAll(() => rmSync(folder, { recursive: true }));
/** A policy whose name is a tag. */
const TAG = './x<script>.js';

function lab(...words: string[]): { status: number; stderr: string } {
  try {
    execFileSync(process.execPath, [QUARRY, 'lab', ...words], {
      cwd: folder,
      encoding: 'utf8',
      stdio: 'pipe',
    });
    return { status: 0, stderr: '' };
  } catch (thrown) {
    return thrown as { status: number; stderr: string };
  }
}

const read = (...parts: string[]) => readFileSync(join(folder, ...parts), 'utf8');
const withoutCosts = (page: string) => page.replace(/<section id="costs">.*?<\/section>/s, '');

beforeAll(() => {
  writeFileSync(
    join(folder, TAG),
    `export default { name: 'x', create: (space) => ({
      allocate: ({ length, minimum }) => space.findRun(0, space.blockCount, minimum, length) }) };`,
  );
  const small = ['--size', '48M', '--workloads', 'web', '--churn', '0.3', '--samples', '2', '--seeds', '3'];
  for (const out of ['one', 'two'])
    expect(lab('run', ...small, '--policies', `first-fit,${TAG}`, '--out', out)).toEqual({
      status: 0,
      stderr: '',
    });
});

describe('a report', () => {
  test('is the same twice, but for what the machine took', () => {
    expect(withoutCosts(read('two', 'report.html'))).toBe(withoutCosts(read('one', 'report.html')));
    const names = readdirSync(join(folder, 'one', 'figures'));
    expect(readdirSync(join(folder, 'two', 'figures'))).toEqual(names);
    for (const name of names.filter((found) => !found.startsWith('allocation-latency')))
      expect(readFileSync(join(folder, 'two', 'figures', name))).toEqual(
        readFileSync(join(folder, 'one', 'figures', name)),
      );
  });

  test('is made anew from the results, byte by byte', () => {
    const before = read('one', 'report.html');
    rmSync(join(folder, 'one', 'report.html'));
    expect(lab('report', 'one')).toEqual({ status: 0, stderr: '' });
    expect(read('one', 'report.html')).toBe(before);
  });

  test('is taken away with its pictures and nothing else, where results are others', () => {
    cpSync(join(folder, 'one'), join(folder, 'old'), { recursive: true });
    const figures = join(folder, 'old', 'figures');
    for (const name of ['mine.svg', 'maps.txt', 'maps-gone.svg']) writeFileSync(join(figures, name), '');
    removeReport(join(folder, 'old'));
    expect(existsSync(join(folder, 'old', 'report.html'))).toBe(false);
    expect(readdirSync(figures)).toEqual(['maps.txt', 'mine.svg']);
    removeReport(join(folder, 'nothing'));
  });

  test('names the command with all that it was given, as a shell takes it', () => {
    const { configuration } = readResults(join(folder, 'one'));
    const command = commandOf({
      ...configuration,
      policies: ['first-fit', "./it's.js?a=1&b=2", './none.js'],
    });
    expect(command).toMatch(
      /^quarry lab run --policies '.*' --workloads web --runner model --size 50331648 /,
    );
    const words = execFileSync('sh', ['-c', `printf '%s\\n' ${command}`], { encoding: 'utf8' })
      .trim()
      .split('\n');
    expect(words).toContain("first-fit,./it's.js?a=1&b=2,./none.js");
    expect(words).toHaveLength(3 + 2 * 9);
  });

  test('workloads whose paths differ only in what no file has in its name are told apart', () => {
    const names = ['./a b/x.js', './a_b/x.js', './c/x.js', './a/x_js', 'y'.repeat(300), 'y'.repeat(301)];
    expect(new Set(names.map(fileName)).size).toBe(names.length);
    for (const name of names) expect(fileName(name)).toMatch(/^[A-Za-z0-9._-]{1,80}$/);
  });

  test('a name with control characters is a label that an SVG shows', () => {
    expect(shortLabel('a\u0000b\u001b[31m\u0085\u202ec\nd')).toBe('a?b?[31m??c?d');
  });

  test('a line has a hundred points at most', () => {
    const text = read('one', 'results.json');
    cpSync(join(folder, 'one'), join(folder, 'long'), { recursive: true });
    const results = JSON.parse(text);
    for (const run of results.runs)
      run.samples = Array.from({ length: 1000 }, (_, index) => ({ ...run.samples[0], churn: index }));
    writeFileSync(join(folder, 'long', 'results.json'), JSON.stringify(results));
    const points = new ReportData(join(folder, 'long')).overChurn('web', 'first-fit', () => 1);
    expect(points).toHaveLength(100);
    expect([points[0]?.churn, points.at(-1)?.churn]).toEqual([0, 999]);
  });

  test('refers to nothing outside, and names its figures, each also as SVG and PNG', () => {
    const { document } = parseHTML(read('one', 'report.html'));
    const elements = [...document.querySelectorAll('*')];
    for (const element of elements)
      for (const name of ['src', 'href', 'xlink:href', 'srcset', 'data', 'action'])
        expect(element.getAttribute(name)).toBeNull();
    expect(read('one', 'report.html')).not.toMatch(/url\(|@import/);
    const figures = [...document.querySelectorAll('figure[id]')];
    expect(figures.length).toBeGreaterThanOrEqual(8);
    for (const figure of figures) {
      expect(figure.querySelector('svg > title')?.textContent).not.toBe('');
      expect(figure.querySelector('svg > desc')?.textContent).toMatch(/^How to read it/);
      for (const ending of ['svg', 'png'])
        expect(existsSync(join(folder, 'one', 'figures', `${figure.id}.${ending}`))).toBe(true);
    }
  });

  test('shows a name with a tag in it as text', () => {
    const { document } = parseHTML(read('one', 'report.html'));
    expect(document.querySelectorAll('script')).toHaveLength(2);
    expect(document.body.textContent).toContain(TAG);
    for (const name of readdirSync(join(folder, 'one', 'figures')).filter((found) => found.endsWith('.svg')))
      expect(read('one', 'figures', name)).not.toContain('<script');
  });

  test('leaves out what these results do not have, with a sentence', async () => {
    cpSync(join(folder, 'one'), join(folder, 'bare'), { recursive: true });
    for (const name of ['runs', 'details', 'figures'])
      rmSync(join(folder, 'bare', name), { recursive: true });
    expect(await writeReport(join(folder, 'bare'))).toEqual([]);
    expect(read('bare', 'report.html')).toMatch(
      /No maps: .*No picture of writes: .*No times of allocations: /s,
    );
    expect(readdirSync(join(folder, 'bare', 'figures')).join(' ')).not.toMatch(/maps|writes|latency/);
  });
});

test('what is not installed is said in a line', async () => {
  const absent = () => Promise.reject(Object.assign(new Error('none'), { code: 'ERR_MODULE_NOT_FOUND' }));
  const missing = await writeReport(join(folder, 'one'), () => loadCharts(absent));
  expect(missingLine(missing, 'one')).toBe(
    "the report needs @observablehq/plot and linkedom: run 'npm install @observablehq/plot linkedom', then 'quarry lab report one'",
  );
});

test.each([['{'], ['{}'], ['{"hash":"a","configuration":{},"runs":[{}],"failed":[]}']])(
  'results that are %s are refused in a line',
  (text) => {
    rmSync(join(folder, 'bad'), { recursive: true, force: true });
    cpSync(join(folder, 'one', 'runs'), join(folder, 'bad', 'runs'), { recursive: true });
    writeFileSync(join(folder, 'bad', 'results.json'), text);
    const { status, stderr } = lab('report', 'bad');
    expect(stderr).toMatch(/^quarry: bad: bad\/results\.json is not as quarry lab run writes it\n$/);
    expect(status).toBe(1);
    expect(existsSync(join(folder, 'bad', 'report.html'))).toBe(false);
  },
);

describe.skipIf(!hasChromium() && !process.env.CI)('in Chromium', () => {
  test('the slider moves the maps, and nothing complains', async () => {
    const page = new HeadlessPage();
    try {
      await page.open(pathToFileURL(join(folder, 'one', 'report.html')).href);
      const state = `[document.querySelector('canvas').toDataURL(), document.querySelector('output').textContent]`;
      const last = await page.evaluate(state);
      await page.evaluate(
        `(() => { const slider = document.querySelector('.slider'); slider.value = 0; slider.dispatchEvent(new Event('input')); })()`,
      );
      const first = await page.evaluate(state);
      expect((first as string[])[0]).not.toBe((last as string[])[0]);
      expect((first as string[])[1]).toMatch(/^0\.0\d × the capacity written$/);
      expect((last as string[])[1]).toMatch(/^0\.3\d × /);
      expect(page.complaints).toEqual([]);
    } finally {
      await page.close();
    }
  });
});

describe('what is kept', () => {
  test('a map is the same after its text', () => {
    const map = { classes: Uint8Array.of(0, 0, 5, 1, 1, 1), levels: Uint8Array.of(0, 0, 3, 2, 2, 1) };
    expect(encodedMap(map)).toBe('A2XG2F');
    expect(decodedMap('A2XG2F')).toEqual(map);
  });

  test('counts of extents are exact at first, and then in bounded classes', () => {
    const counter = new ExtentCounter();
    for (let extents = 0; extents <= 100_000; extents++) counter.add(extents);
    const counts = counter.counts();
    expect(counts.slice(0, 16)).toEqual(Array.from({ length: 16 }, (_, index) => [index + 1, 1]));
    expect(counts.reduce((sum, [, files]) => sum + files, 0)).toBe(100_000);
    expect(counts.length).toBeLessThan(140);
  });

  test('writes are thinned evenly', () => {
    const trace = new WriteTrace();
    for (let block = 0; block < 50_000; block++) trace.add(block, 1, true);
    const { data, metadata } = trace.points();
    expect(metadata).toEqual([]);
    const blocks = data.filter((_, index) => index % 2 === 1);
    expect(blocks.length).toBeGreaterThan(900);
    expect(blocks.length).toBeLessThan(2000);
    expect(new Set(blocks.slice(1).map((block, index) => block - (blocks[index] ?? 0))).size).toBe(1);
  });
});
