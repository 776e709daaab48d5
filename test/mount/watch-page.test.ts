/**
 * The page of `quarry watch --web` in a real browser: it draws, follows what is written, is used by
 * the keyboard, and nobody without its address comes near it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { describeQuarry, MIB, QUARRY, until, Volume } from './harness.ts';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const BROWSER = PLACES.find((path) => existsSync(path));
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const LIMIT_MS = 120_000;

/** In the page: how many pixels of the map have each colour, as `red,green,blue`. */
const COUNT_COLORS = `(() => {
  const { width, height } = document.querySelector('#map');
  const copy = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(document.querySelector('#map'), 0, 0);
  const { data } = copy.getImageData(0, 0, width, height);
  const colors = {};
  for (let at = 0; at < data.length; at += 4) {
    const color = data[at] + ',' + data[at + 1] + ',' + data[at + 2];
    colors[color] = (colors[color] ?? 0) + 1;
  }
  return colors;
})()`;
/** As in page.css. */
const FREE = '237,237,237';
const FREE_IN_THE_DARK = '46,51,59';
const FILLED = '230,159,0';

function colorsOfMap(page: Page): Promise<Record<string, number>> {
  return page.evaluate<Record<string, number>>(COUNT_COLORS);
}

describe.skipIf(BROWSER === undefined && !process.env.CI)('with a browser', () => {
  describeQuarry('the page', () => {
    let volume: Volume;
    let server: ChildProcess;
    let said = '';
    let context: BrowserContext;
    let page: Page;
    let complaints: string[] = [];

    beforeEach(async () => {
      volume = await Volume.make({ sizeBytes: 256 * MIB });
      said = '';
      const words = [QUARRY, 'watch', '--interval', '0.5', '--web=0', volume.directory];
      server = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
      server.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
        said += chunk;
      });
      await until('the address', 30_000, () => said.endsWith('\n'));
      complaints = [];
      context = await chromium.launchPersistentContext(volume.scratch.file('browser'), {
        executablePath: BROWSER ?? PLACES[0] ?? '',
        headless: true,
        args: ARGUMENTS,
        viewport: { width: 1280, height: 900 },
      });
      page = await context.newPage();
      page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
      page.on('pageerror', (error) => complaints.push(String(error)));
      page.on('requestfailed', (request) => {
        // The stream ends when the page hangs up.
        if (!request.url().endsWith('/events')) complaints.push(`failed: ${request.url()}`);
      });
    }, LIMIT_MS);

    afterEach(async () => {
      await context?.close();
      server?.kill('SIGKILL');
      await volume.destroy();
    }, LIMIT_MS);

    async function opened(): Promise<void> {
      await page.goto(said.trim());
      await page.locator('#tiles dd').first().waitFor();
    }

    test('draws the map and the charts, and both follow what is written', { timeout: LIMIT_MS }, async () => {
      await opened();
      expect(await page.textContent('h1')).toBe(volume.directory);
      expect(await page.textContent('#state')).toBe('live');
      expect(await page.locator('.uplot canvas').count()).toBe(6);
      const before = await colorsOfMap(page);
      expect(before[FREE]).toBeGreaterThan(10_000);

      // As long as it takes to see cells stand out: on a busy machine a look may come too late.
      let mebibytes = 0;
      await until('filled cells', 30_000, async () => {
        await volume.shell(`head -c 2M /dev/zero > file${mebibytes}; sync file${mebibytes}`);
        mebibytes += 2;
        return ((await colorsOfMap(page))[FILLED] ?? 0) > 50;
      });
      // Later they are just in use.
      await until('the map at rest', 20_000, async () => (await colorsOfMap(page))[FILLED] === undefined);
      const after = await colorsOfMap(page);
      const cells = Object.values(after).reduce((sum, count) => sum + count, 0);
      const filled = ((before[FREE] ?? 0) - (after[FREE] ?? 0)) / cells;
      expect(filled).toBeGreaterThan(mebibytes / 256 - 0.01);
      expect(filled).toBeLessThan(mebibytes / 256 + 0.02);
      const rows = await page.locator('#runs tbody tr').count();
      expect(rows).toBeGreaterThan(5);
      expect(await page.textContent('#policy')).toMatch(/policy goal-and-window/);
      expect(complaints).toEqual([]);
    });

    test('is used by the keyboard alone, in light and in dark', { timeout: LIMIT_MS }, async () => {
      await opened();
      await page.keyboard.press('Tab');
      expect(await page.locator(':focus').getAttribute('id')).toBe('pause');
      await page.keyboard.press('Enter');
      expect(await page.textContent('#state')).toBe('paused');
      await page.keyboard.press('Space');
      await page.getByText('live', { exact: true }).waitFor();
      await page.keyboard.press('Tab');
      expect(await page.locator(':focus').getAttribute('id')).toBe('map-frame');
      await page.keyboard.press('Home');
      expect(await page.textContent('#map-cell')).toMatch(/^blocks 0 to 3, .*100 % in use/);
      await page.keyboard.press('ArrowRight');
      expect(await page.textContent('#map-cell')).not.toMatch(/^blocks 0 to/);
      await page.keyboard.press('End');
      expect(await page.getAttribute('#map-frame', 'aria-valuetext')).toMatch(/to 65,535, /);

      const light = await page.evaluate('getComputedStyle(document.body).backgroundColor');
      await page.emulateMedia({ colorScheme: 'dark' });
      const dark = await page.evaluate('getComputedStyle(document.body).backgroundColor');
      expect([light, dark]).toEqual(['rgb(255, 255, 255)', 'rgb(20, 23, 27)']);
      await until(
        'a dark map',
        20_000,
        async () => (await colorsOfMap(page))[FREE_IN_THE_DARK] !== undefined,
      );
      await page.setViewportSize({ width: 360, height: 700 });
      // Nothing is wider than the screen, when the charts have followed it.
      const overflow = () => page.evaluate<number>('document.documentElement.scrollWidth - innerWidth');
      await until('a narrow page', 20_000, async () => (await overflow()) <= 0);
      expect(complaints).toEqual([]);
    });

    test('a wrong token and a foreign host get 403, and the end is told', { timeout: LIMIT_MS }, async () => {
      const address = new URL(said.trim());
      expect(address.hostname).toBe('127.0.0.1');
      const stranger = await context.newPage();
      const wrong = await stranger.goto(`${address.origin}/${'0'.repeat(32)}/`);
      expect([wrong?.status(), await stranger.locator('canvas').count()]).toEqual([403, 0]);
      // A name that leads to this machine, as DNS rebinding makes one.
      const rebound = await stranger.goto(`http://quarry.localhost:${address.port}${address.pathname}`);
      expect(rebound?.status()).toBe(403);
      // What follows is about one page alone.
      await stranger.close();
      await opened();
      await volume.unmount();
      await page.getByText(/was unmounted/).waitFor();
      await until('the end of the server', 30_000, () => server.exitCode !== null);
      expect(server.exitCode).toBe(0);
      expect(complaints).toEqual([]);
    });
  });
});
