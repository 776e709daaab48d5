/**
 * The server of the page: who is let in, what is answered, and the stream of events, over real
 * connections.
 */
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, test } from 'vitest';
import { judge, newToken, PageServer } from '../../src/cli/page-server.ts';
import { eventText, WatchFeed } from '../../src/cli/watch-feed.ts';
import { figuresBetween } from '../../src/cli/watch-figures.ts';
import { decodeSample, type MountSample } from '../../src/cli/watch-sample.ts';
import { chartFolder, pageFiles } from '../../src/cli/watch-web.ts';

const TOKEN = 'a'.repeat(32);
const TITLE = { directory: '/mnt', source: '/dev/loop0', intervalSeconds: 1 };

describe('who is let in', () => {
  const asked = (changes: object) =>
    judge({ method: 'GET', host: '127.0.0.1:8080', url: `/${TOKEN}/x.js`, ...changes }, 8080, TOKEN);

  test('the path behind the token', () => {
    expect(asked({})).toEqual({ path: 'x.js' });
    expect(asked({ host: 'LOCALHOST:8080' })).toEqual({ path: 'x.js' });
    expect(asked({ url: `/${TOKEN}/` })).toEqual({ path: '' });
    expect(asked({ url: `/${TOKEN}/x.js?query#part` })).toEqual({ path: 'x.js' });
  });

  test.each([
    '/',
    '',
    '//',
    'x.js',
    `/${TOKEN}`,
    `/${TOKEN.slice(1)}/x.js`,
    `/${TOKEN}a/x.js`,
    `/A${TOKEN.slice(1)}/x.js`,
    `/x/${TOKEN}/x.js`,
    `/?token=${TOKEN}`,
    `http://127.0.0.1:8080/${TOKEN}/x.js`,
  ])('not without the token: %s', (url) => expect(asked({ url })).toEqual({ status: 403 }));

  test.each([
    undefined,
    '',
    '127.0.0.1',
    '127.0.0.1:8081',
    'evil.example:8080',
    'localhost.evil.example:8080',
    '[::1]:8080',
  ])('not by another name: %s', (host) => expect(asked({ host })).toEqual({ status: 403 }));

  test.each(['POST', 'HEAD', 'OPTIONS', 'PUT', undefined])('not to write: %s', (method) =>
    expect(asked({ method })).toEqual({ status: 405 }),
  );

  test('tokens are 128 bits, and no two alike', () => {
    const tokens = Array.from({ length: 100 }, newToken);
    expect(new Set(tokens).size).toBe(100);
    for (const token of tokens) expect(token).toMatch(/^[0-9a-f]{32}$/);
  });
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

function ask(
  address: string,
  options: { method?: string; headers?: OutgoingHttpHeaders } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = httpRequest(address, options, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
      );
    });
    asked.on('error', reject);
    asked.end();
  });
}

let server: PageServer | undefined;
let feed: WatchFeed;
let wanted = 0;

async function started(): Promise<string> {
  wanted = 0;
  feed = new WatchFeed(TITLE, () => wanted++);
  const files = pageFiles(chartFolder());
  files.set('gone.js', {
    type: 'text/javascript',
    read: () => {
      throw new Error('ENOENT');
    },
  });
  server = new PageServer({ files, streamPath: 'events', takeStream: (response) => feed.take(response) });
  await server.listen(0);
  return server.address;
}

afterEach(async () => {
  await server?.close();
  server = undefined;
});

describe('the server', () => {
  test('answers with the page, under a strict policy', async () => {
    const { status, headers, body } = await ask(await started());
    expect([status, headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    expect(body).toMatch(/<title>quarry watch<\/title>/);
    const policy = headers['content-security-policy'] ?? '';
    expect(policy).toMatch(/default-src 'none'/);
    expect(policy).not.toMatch(/unsafe|\*|data:|http/);
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'cache-control': 'no-store',
    });
    expect(headers['access-control-allow-origin']).toBeUndefined();
    // Nothing in the page is inline, and nothing comes from elsewhere.
    expect(body).not.toMatch(/<script(?![^>]*src)|style=|onload|https?:/);
  });

  test('has all that the page names, and nothing else', async () => {
    const address = await started();
    const { body } = await ask(address);
    const names = [...body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, name = '']) => name);
    expect(names).toContain('page/main.js');
    for (const name of names) expect([name, (await ask(address + name)).status]).toEqual([name, 200]);
    for (const name of ['nothing.js', '..%2fpackage.json', 'page/', 'gone.js/'])
      expect((await ask(address + name)).status).toBe(404);
    expect((await ask(`${address}gone.js`)).status).toBe(500);
  });

  test('every module that a module imports is there', async () => {
    const address = await started();
    const seen = new Set<string>();
    const visit = async (path: string): Promise<void> => {
      if (seen.has(path)) return;
      seen.add(path);
      const { status, body } = await ask(address + path);
      expect([path, status]).toEqual([path, 200]);
      for (const [, target = ''] of body.matchAll(/^import .*?from '(\.[^']+)';$/gms))
        await visit(new URL(target, `http://x/${path}`).pathname.slice(1));
    };
    await visit('page/main.js');
    expect(seen.size).toBeGreaterThan(5);
  });

  test.each([
    ['another token', (address: string) => ask(address.replace(/[0-9a-f]{32}/, newToken()))],
    ['no token', (address: string) => ask(new URL('/', address).href)],
    ['another host', (address: string) => ask(address, { headers: { host: 'evil.example' } })],
  ])('%s is refused with 403, without a word of the page', async (_, refused) => {
    const { status, body, headers } = await refused(await started());
    expect(status).toBe(403);
    expect(body).not.toMatch(/<|[0-9a-f]{32}/);
    expect(headers['content-security-policy']).toMatch(/default-src 'none'/);
  });

  test('nothing but GET, and CORS is not answered', async () => {
    const address = await started();
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const { status, headers } = await ask(address, { method, headers: { origin: 'http://evil.example' } });
      expect([status, headers.allow]).toEqual([405, 'GET']);
      expect(headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  test('connections that ask for nothing keep nobody out, and are ended soon', async () => {
    const address = await started();
    const port = Number(new URL(address).port);
    const idle = Array.from({ length: 100 }, () => connect({ port, host: '127.0.0.1' }));
    const ended = idle.map((socket) => new Promise((resolve) => socket.on('close', resolve)));
    for (const socket of idle) socket.on('error', () => {}).resume();
    await Promise.all(idle.map((socket) => new Promise((resolve) => socket.on('connect', resolve))));
    expect((await ask(address)).status).toBe(200);
    const stream = new Reader(address);
    await stream.until(1);
    const began = performance.now();
    await Promise.all(ended);
    expect(performance.now() - began).toBeLessThan(8000);
    expect(stream.isOver).toBe(false);
  });

  test('is reached on 127.0.0.1 only', async () => {
    const port = Number(new URL(await started()).port);
    const others = Object.values(networkInterfaces())
      .flat()
      .filter((found) => found !== undefined && !found.internal && found.family === 'IPv4');
    for (const { address } of [{ address: '127.0.0.2' }, ...others.filter((found) => found !== undefined)]) {
      const outcome = await new Promise<string>((resolve) => {
        const socket = connect({ port, host: address }, () => resolve('connected'));
        socket.on('error', () => resolve('refused'));
        setTimeout(() => resolve('silent'), 1000).unref();
      });
      expect([address, outcome]).not.toEqual([address, 'connected']);
    }
  });
});

/** A reader of the stream: its events as they come. */
class Reader {
  readonly events: { name: string; data: Record<string, unknown> }[] = [];
  #text = '';
  isOver = false;

  constructor(address: string) {
    const asked = httpRequest(`${address}events`, (response) => {
      response.setEncoding('utf8').on('data', (chunk: string) => this.#take(chunk));
      response.on('close', () => {
        this.isOver = true;
      });
    });
    asked.on('error', () => {
      this.isOver = true;
    });
    asked.end();
  }

  #take(chunk: string): void {
    const parts = (this.#text + chunk).split('\n\n');
    this.#text = parts.pop() ?? '';
    for (const part of parts) {
      const match = /^event: (\w+)\ndata: (.*)$/.exec(part);
      if (match) this.events.push({ name: match[1] ?? '', data: JSON.parse(match[2] ?? '') });
    }
  }

  names(): string[] {
    return this.events.map(({ name }) => name);
  }

  async until(count: number): Promise<void> {
    for (let i = 0; this.events.length < count && i < 2000; i++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(this.names().length).toBeGreaterThanOrEqual(count);
  }
}

function sample(epoch: number, milliseconds: number, cells: number[]): MountSample {
  const survey = { revision: 1, blocksPerCell: 4, cellCount: 8, cells };
  const found = decodeSample({ epoch, milliseconds, blockBytes: 4096, blockCount: 32, survey });
  if (found === undefined) throw new Error('no sample');
  return found;
}

function observation(epoch: number, milliseconds: number, cells: number[]) {
  const after = sample(epoch, milliseconds, cells);
  return {
    figures: figuresBetween(sample(epoch, milliseconds - 1000, []), after, new Date()),
    sample: after,
  };
}

describe('the feed', () => {
  test('tells who comes everything, then what changes', async () => {
    const address = await started();
    feed.observed({ figures: undefined, sample: sample(1, 0, [0, 4, 1, 4]) });
    feed.observed(observation(1, 1000, [1, 2]));
    expect(feed.isWatched).toBe(false);
    const first = new Reader(address);
    await first.until(2);
    expect([wanted, feed.isWatched]).toEqual([1, true]);
    expect(first.names()).toEqual(['mount', 'map']);
    expect(first.events[0]?.data).toMatchObject({ directory: '/mnt', intervalSeconds: 1 });
    expect(first.events[0]?.data.history).toHaveLength(1);
    expect(first.events[1]?.data).toMatchObject({ isWhole: true, cellCount: 8, cells: [0, 4, 1, 2] });

    feed.observed(observation(1, 2000, [5, 3]));
    feed.observed(observation(1, 3000, []));
    await first.until(5);
    // Figures come first, by which what changed before ages. Where no cell has changed there is
    // nothing to tell of the map.
    expect(first.names().slice(2)).toEqual(['figures', 'map', 'figures']);
    expect(first.events[3]?.data).toMatchObject({ isWhole: false, cells: [5, 3] });

    const second = new Reader(address);
    await second.until(2);
    expect(second.events[1]?.data.cells).toEqual([0, 4, 1, 2, 5, 3]);
    // Who comes where others look already is shown what they see; the history has it.
    expect(first.events[0]?.data.figures).toBeNull();
    expect(second.events[0]?.data.figures).toEqual(first.events[4]?.data);
    expect(second.events[0]?.data.history).toHaveLength(3);
    feed.observed({ figures: undefined, sample: sample(1, 4000, []) });
    const third = new Reader(address);
    await third.until(2);
    expect(third.events[0]?.data.figures).toBeNull();
    expect(wanted).toBe(1);
  });

  test('another epoch is another map', async () => {
    const address = await started();
    const reader = new Reader(address);
    await reader.until(1);
    feed.observed(observation(1, 1000, [0, 4]));
    feed.observed({ figures: undefined, sample: sample(2, 2000, [3, 1]) });
    await reader.until(4);
    expect(reader.names()).toEqual(['mount', 'figures', 'map', 'map']);
    expect(reader.events[3]?.data).toMatchObject({ isWhole: true, cells: [3, 1] });
  });

  test('ends with a word', async () => {
    const address = await started();
    const reader = new Reader(address);
    await reader.until(1);
    feed.end('/mnt was unmounted');
    await reader.until(2);
    expect(reader.events[1]).toEqual({ name: 'end', data: { text: '/mnt was unmounted' } });
    for (let i = 0; !reader.isOver && i < 2000; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(reader.isOver).toBe(true);
    expect(feed.isWatched).toBe(false);
  });

  test('more pages than there may be are refused, and gone ones are forgotten', async () => {
    const address = await started();
    const readers = Array.from({ length: 16 }, () => new Reader(address));
    for (const reader of readers) await reader.until(1);
    expect((await ask(`${address}events`)).status).toBe(503);
  });

  test('an event is one line of data, whatever is in it', () => {
    const text = eventText('end', { text: 'two\nlines\n\nevent: map' });
    expect(text).toBe('event: end\ndata: {"text":"two\\nlines\\n\\nevent: map"}\n\n');
  });
});
