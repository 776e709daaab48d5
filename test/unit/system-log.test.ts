/** The log of the system, kept by a process of ours: what comes there, and what becomes of the rest. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { journalLine, logOf, writersOn } from '../../src/cli/log-command.ts';
import { SystemLog } from '../../src/cli/system-log.ts';
import { parseMountinfo } from '../../src/fuse/mount-table.ts';

const KEEPER = `
import os, socket, sys
path = sys.argv[1]
if os.path.exists(path): os.unlink(path)
keeper = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
keeper.bind(path)
print('ready', flush=True)
if len(sys.argv) > 2: sys.stdin.read()
while True: print(repr(keeper.recv(65536).decode()), flush=True)
`;
const ORIGIN = { target: '/dev/sdb1', directory: '/mnt/a\nb' };
let folder: string;
const keepers: Keeper[] = [];

class Keeper {
  readonly child: ChildProcess;
  out = '';

  constructor(path: string, ...more: string[]) {
    this.child = spawn('python3', ['-c', KEEPER, path, ...more], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.stdout?.on('data', (chunk) => {
      this.out += chunk;
    });
    keepers.push(this);
  }

  async said(pattern: RegExp): Promise<void> {
    await expect.poll(() => this.out, { timeout: 10_000 }).toMatch(pattern);
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill();
    await ended;
  }
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'quarry-system-log-'));
});
afterEach(async () => {
  for (const keeper of keepers.splice(0)) await keeper.end();
  rmSync(folder, { recursive: true, force: true });
});

test('what a service says on the stream of its journal goes there with the fields', async () => {
  const path = join(folder, 'socket');
  const keeper = new Keeper(path);
  await keeper.said(/ready/);
  const stream = openSync(join(folder, 'stream'), 'w');
  const { dev, ino } = fstatSync(stream, { bigint: true });
  const sockets = [{ path, form: 'journal' }] as const;
  expect(SystemLog.behind(stream, ORIGIN, { stream: `${dev}:${ino + 1n}`, sockets })).toBeUndefined();
  expect(SystemLog.behind(stream, ORIGIN, { stream: '', sockets })).toBeUndefined();
  const log = SystemLog.behind(stream, ORIGIN, { stream: `${dev}:${ino}`, sockets });
  closeSync(stream);
  expect(log?.send('hello')).toBe(true);
  await keeper.said(/MESSAGE=hello\\n.*QUARRY_TARGET=\/dev\/sdb1\\n/);
  log?.close();
});

test('the journal gets fields by which a log is found again, syslog a line', async () => {
  const path = join(folder, 'socket');
  const keeper = new Keeper(path);
  await keeper.said(/ready/);
  const journal = SystemLog.open(ORIGIN, [{ path, form: 'journal' }]);
  expect(journal?.send('journal replayed')).toBe(true);
  await keeper.said(/MESSAGE=journal replayed\\nPRIORITY=5\\n.*SYSLOG_IDENTIFIER=quarry\\n/);
  await keeper.said(/QUARRY_TARGET=\/dev\/sdb1\\nQUARRY_MOUNT=\/mnt\/a\?b\\n/);
  journal?.close();
  const syslog = SystemLog.open(ORIGIN, [{ path, form: 'syslog' }]);
  expect(syslog?.send('a line')).toBe(true);
  await keeper.said(
    new RegExp(
      `<29>[A-Z][a-z]{2} [ \\d]\\d \\d\\d:\\d\\d:\\d\\d quarry\\[${process.pid}\\]: /mnt/a\\?b: a line`,
    ),
  );
  syslog?.close();
});

test('where nobody keeps one there is none, and the next is looked for', async () => {
  const path = join(folder, 'socket');
  const keeper = new Keeper(path);
  await keeper.said(/ready/);
  await keeper.end();
  // Its socket is still there, and nobody listens.
  const nobody = [
    { path: join(folder, 'nothing'), form: 'journal' },
    { path, form: 'syslog' },
  ] as const;
  expect(SystemLog.open(ORIGIN, nobody)).toBeUndefined();
  const other = join(folder, 'other');
  await new Keeper(other).said(/ready/);
  const log = SystemLog.open(ORIGIN, [...nobody, { path: other, form: 'syslog' }]);
  expect(log?.send('there')).toBe(true);
  log?.close();
});

test('who keeps it may be started anew; what he does not take is told', async () => {
  const path = join(folder, 'socket');
  const keeper = new Keeper(path);
  await keeper.said(/ready/);
  const log = SystemLog.open(ORIGIN, [{ path, form: 'syslog' }]);
  await keeper.end();
  expect(log?.send('lost')).toBe(false);
  // Another one, who does not listen until he is told to.
  const next = new Keeper(path, 'slow');
  await next.said(/ready/);
  let taken = 0;
  while (log?.send(`line ${taken}`) && taken < 100_000) taken++;
  expect(taken).toBeGreaterThan(0);
  expect(taken).toBeLessThan(100_000);
  next.child.stdin?.end();
  await next.said(/line 0'/);
  expect(next.out).not.toContain('lost');
  log?.close();
});

test('of a file, the lines of a target are those behind its name', () => {
  const text = [
    '2026-01-01T00:00:00.000Z [1] log of /dev/a on /mnt',
    '2026-01-01T00:00:01.000Z [1] of a',
    '2026-01-01T00:00:02.000Z [2] log of /dev/ab on /mnt',
    '2026-01-01T00:00:03.000Z [2] of ab',
    '2026-01-01T00:00:04.000Z [3] log of /dev/a on /mnt',
    '2026-01-01T00:00:05.000Z [3] of a again',
  ].join('\n');
  const files = (directory: string | undefined) =>
    directory === undefined || directory === '/mnt' ? [{ name: 'mnt.log', text, modified: new Date() }] : [];
  const said = (lines: ReturnType<typeof logOf>) =>
    lines.map(({ line }) => line.slice(29)).filter((line) => !line.startsWith('log of'));
  expect(said(logOf({ directory: '/dev/a', target: '/dev/a' }, files))).toEqual(['of a', 'of a again']);
  expect(said(logOf({ directory: '/mnt', target: undefined }, files))).toEqual([
    'of a',
    'of ab',
    'of a again',
  ]);
  expect(logOf({ directory: '/elsewhere', target: undefined }, files)).toEqual([]);
});

test('lines without a time, as a crash leaves them, stand before the next mount', () => {
  const text = [
    'Error: of whom nobody knows',
    '2026-01-01T00:00:00.000Z [1] log of /dev/b on /mnt',
    '2026-01-01T00:00:01.000Z [2] log of /dev/a on /mnt',
    'TypeError: of a',
    '    at Volume.read (volume.js:1:1)',
    '2026-01-01T00:00:02.000Z [3] log of /dev/b on /mnt',
    'Error: of b, with x [4] log of /dev/a on /mnt',
    '2026-01-01T00:00:03.000Z [5] log of /dev/a on /mnt',
    'RangeError: of a, and the last word',
  ].join('\n');
  const files = () => [{ name: 'mnt.log', text, modified: new Date('2026-01-02T00:00:00Z') }];
  const said = (lines: ReturnType<typeof logOf>) =>
    lines.map(({ time, line }) => `${time.slice(0, 19)} ${line.replace(/^\d\S+ /, '')}`);
  const ofA = [
    '2026-01-01T00:00:01 [2] log of /dev/a on /mnt',
    '2026-01-01T00:00:02 TypeError: of a',
    '2026-01-01T00:00:02     at Volume.read (volume.js:1:1)',
  ];
  const last = [
    '2026-01-01T00:00:03 [5] log of /dev/a on /mnt',
    '2026-01-02T00:00:00 RangeError: of a, and the last word',
  ];
  expect(said(logOf({ directory: '/dev/a', target: '/dev/a' }, files))).toEqual([...ofA, ...last]);
  // Of a mountpoint all of them, but no heads of what says nothing.
  expect(said(logOf({ directory: '/mnt', target: undefined }, files))).toEqual([
    '2026-01-01T00:00:00 Error: of whom nobody knows',
    ...ofA,
    '2026-01-01T00:00:02 [3] log of /dev/b on /mnt',
    '2026-01-01T00:00:03 Error: of b, with x [4] log of /dev/a on /mnt',
    ...last,
  ]);
});

test('an entry of the journal is a line as in a file', () => {
  const entry = {
    MESSAGE: 'journal replayed',
    // What the sender says of itself; the journal knows better.
    SYSLOG_PID: '1',
    _PID: '12',
    __REALTIME_TIMESTAMP: '1767225600000000',
  };
  expect(journalLine(JSON.stringify(entry))).toBe('2026-01-01T00:00:00.000Z [12] journal replayed');
  for (const bad of [
    '',
    '{',
    'null',
    '{"MESSAGE":[1,2]}',
    JSON.stringify({ ...entry, __REALTIME_TIMESTAMP: 'x' }),
  ])
    expect(journalLine(bad)).toBeUndefined();
});

test('of the journal, root is believed, who asks, and whose mount it is', () => {
  const [mount] = parseMountinfo(
    '36 35 0:50 / /mnt/a rw - fuse.quarry /dev/sdb1 rw,user_id=12345,group_id=100\n',
  );
  const own = [...new Set([0, process.geteuid?.() ?? 0])];
  expect(writersOn(undefined)).toEqual(own);
  expect(writersOn(mount)).toEqual([...own, 12345]);
});
