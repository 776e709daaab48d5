/**
 * The log of a daemon: bounded, the latest always there; and its file, in a directory that somebody
 * else has prepared.
 */

import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { logOf as linesOfTarget } from '../../src/cli/log-command.ts';
import { openLogFile, removeEmptyLog } from '../../src/cli/log-file.ts';
import { backgroundLog, boundFile, MOST_LOG_BYTES, MountLog } from '../../src/cli/mount-log.ts';
import type { SystemLog } from '../../src/cli/system-log.ts';

let scratch: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'quarry-mount-log-'));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

describe('lines', () => {
  function logOf(): { log: MountLog; written: string[] } {
    const written: string[] = [];
    return { log: new MountLog((text) => written.push(text.replace(/^\S+ \[\d+\] /, ''))), written };
  }

  test('one that comes again is counted', () => {
    const { log, written } = logOf();
    for (let count = 0; count < 123; count++) log.line('the same');
    log.line('another');
    expect(written).toEqual([
      'the same\n',
      'the line before came 10 times more so far\n',
      'the line before came 100 times more so far\n',
      'the line before came 122 times more\n',
      'another\n',
    ]);
  });

  test('memory keeps the last ones, within its bounds', () => {
    const { log } = logOf();
    for (let count = 0; count < 10_000; count++) log.line(`line ${count}`);
    expect(Buffer.byteLength(log.recent())).toBeLessThanOrEqual(64 * 1024);
    expect(log.recent()).toMatch(/line 9999\n$/);
    expect(log.recent().startsWith('20')).toBe(true);
    log.line('x'.repeat(2 ** 20));
    expect(Buffer.byteLength(log.recent())).toBeLessThanOrEqual(64 * 1024);
    expect(log.firstLines().at(0)).toBe('line 0');
    expect(log.firstLines().length).toBeLessThanOrEqual(50);
  });

  test('nothing in them steers a terminal or makes a line of its own', () => {
    const { log, written } = logOf();
    log.line('name \u001b[2J\nforged');
    expect(written).toEqual(['name ?[2J?forged\n']);
  });

  test('a file stays below its limit, with the latest lines whole', () => {
    const path = join(scratch, 'log');
    const descriptor = openSync(path, 'a+');
    for (let count = 0; count < 40_000; count++) {
      writeSync(descriptor, `line ${count} ${'.'.repeat(40)}\n`);
      if (count % 100 === 0) boundFile(descriptor);
    }
    boundFile(descriptor);
    closeSync(descriptor);
    const text = readFileSync(path, 'utf8');
    expect(text.length).toBeLessThanOrEqual(MOST_LOG_BYTES);
    expect(text).toMatch(/^line \d+ \.+\n/);
    expect(text).toMatch(/\nline 39999 \.+\n$/);
  });

  test('with a file for what was before, no line of the last ones is lost', () => {
    const [path, before] = [join(scratch, 'log'), join(scratch, 'log.1')];
    const [descriptor, earlier] = [openSync(path, 'a+'), openSync(before, 'a+')];
    for (let count = 0; count < 40_000; count++) {
      writeSync(descriptor, `line ${count} ${'.'.repeat(40)}\n`);
      boundFile(descriptor, earlier);
    }
    closeSync(descriptor);
    closeSync(earlier);
    expect(statSync(path).size).toBeLessThanOrEqual(MOST_LOG_BYTES);
    expect(statSync(before).size).toBeGreaterThan(MOST_LOG_BYTES - 100);
    const numbers = (readFileSync(before, 'utf8') + readFileSync(path, 'utf8')).match(/(?<=line )\d+/g);
    const first = Number(numbers?.[0]);
    expect(first).toBeLessThan(20_000);
    expect(numbers?.map(Number)).toEqual(Array.from({ length: 40_000 - first }, (_, i) => first + i));
  });
});

describe('a file tells whose its lines are', () => {
  function openBoth() {
    const [path, before] = [join(scratch, 'log'), join(scratch, 'log.1')];
    const [descriptor, earlier] = [openSync(path, 'a+'), openSync(before, 'a+')];
    const files = () =>
      [before, path].map((name) => ({ name, text: readFileSync(name, 'utf8'), modified: new Date() }));
    const saidOf = (target: string) =>
      linesOfTarget({ directory: target, target }, files).filter(({ line }) => !/ log of /.test(line));
    const close = () => [descriptor, earlier].forEach(closeSync);
    return { descriptor, earlier, files, saidOf, close };
  }

  test('also when the system takes them, for the output of a crash', () => {
    const { descriptor, earlier, saidOf, files, close } = openBoth();
    const sent: string[] = [];
    const system = { send: (line: string) => sent.push(line) > 0 } as unknown as SystemLog;
    const log = backgroundLog({ target: '/dev/a', directory: '/mnt' }, earlier, system, descriptor);
    log.line('taken');
    expect(sent).toEqual(['taken']);
    expect(files()[1]?.text).toMatch(/^\S+Z \[\d+\] log of \/dev\/a on \/mnt\n$/);
    writeSync(descriptor, 'TypeError: a fault of ours\n    at nowhere\n');
    expect(saidOf('/dev/a').map(({ line }) => line)).toEqual([
      'TypeError: a fault of ours',
      '    at nowhere',
    ]);
    close();
  });

  test('when it was begun anew, and what was before, also of another target', () => {
    const { descriptor, earlier, saidOf, files, close } = openBoth();
    const refusing = { send: () => false } as unknown as SystemLog;
    const speak = (target: string, count: number) => {
      const log = backgroundLog({ target, directory: '/mnt' }, earlier, refusing, descriptor);
      for (let line = 0; line < count; line++) log.line(`${line} ${'.'.repeat(4000)}`);
    };
    speak('/dev/a', 200);
    speak('/dev/b', 100);
    const [before, now] = files();
    expect(before?.text).toMatch(/^\S+ \[\d+\] log of \/dev\/a on /);
    expect(now?.text).toMatch(/^\S+ \[\d+\] log of \/dev\/b on /);
    const numbersOf = (target: string) => saidOf(target).map(({ line }) => Number(line.split(' ')[2]));
    // Of the oldest, one or two made room.
    const ofA = numbersOf('/dev/a');
    expect(ofA.length).toBeGreaterThanOrEqual(198);
    expect(ofA).toEqual(Array.from(ofA, (_, index) => 200 - ofA.length + index));
    expect(numbersOf('/dev/b')).toEqual(Array.from({ length: 100 }, (_, index) => index));
    close();
  });

  test('where there is none for what was before, with its last half', () => {
    const { descriptor, earlier, files, close } = openBoth();
    const origin = '2026-01-01T00:00:00.000Z [1] log of /dev/a on /mnt\n';
    writeSync(descriptor, `${'x\n'.repeat(MOST_LOG_BYTES)}`);
    expect(boundFile(descriptor, undefined, origin)).toBe(false);
    expect(files()[1]?.text.startsWith(`${origin}x\n`)).toBe(true);
    writeSync(descriptor, `${'y\n'.repeat(MOST_LOG_BYTES / 2)}`);
    expect(boundFile(descriptor, earlier)).toBe(true);
    expect(files()[0]?.text.startsWith(origin)).toBe(true);
    close();
  });
});

describe.skipIf(process.getuid?.() !== 0)('the place of the file', () => {
  const STRANGER = 65533;
  let place: string;
  beforeEach(() => {
    chmodSync(scratch, 0o1777);
    process.seteuid?.(1234);
    place = join(scratch, 'quarry-1234');
  });
  afterEach(() => {
    process.seteuid?.(0);
  });

  function asRoot(work: () => void): void {
    process.seteuid?.(0);
    work();
    process.seteuid?.(1234);
  }

  test('is made, for its owner only, and an empty file does not stay', () => {
    const log = openLogFile('/mnt/data', [place]);
    expect(log?.path).toBe(join(place, 'mnt-data.log'));
    expect(statSync(place).mode & 0o777).toBe(0o700);
    expect(statSync(log?.path ?? '').mode & 0o777).toBe(0o600);
    const origin = '2026-01-01T00:00:00.000Z [1] log of /dev/a on /mnt/data\n';
    writeSync(log?.descriptor ?? -1, `${origin}TypeError: of a crash\n`);
    removeEmptyLog('/mnt/data', log?.descriptor ?? -1, [place]);
    expect(readdirSync(place)).toEqual(['mnt-data.log']);
    // One that only tells whose it is is as good as empty.
    ftruncateSync(log?.descriptor ?? -1, 0);
    writeSync(log?.descriptor ?? -1, origin + origin);
    removeEmptyLog('/mnt/data', log?.descriptor ?? -1, [place]);
    expect(readdirSync(place)).toEqual([]);
    closeSync(log?.descriptor ?? -1);
  });

  test.each([
    [
      'a directory of a stranger',
      (path: string) => {
        mkdirSync(path);
        chownSync(path, STRANGER, STRANGER);
      },
    ],
    [
      'one that others can write',
      (path: string) => {
        mkdirSync(path);
        chownSync(path, 1234, 1234);
        chmodSync(path, 0o777);
      },
    ],
    [
      'a link to one of ours',
      (path: string) => {
        mkdirSync(join(scratch, 'mine'));
        chownSync(join(scratch, 'mine'), 1234, 1234);
        symlinkSync(join(scratch, 'mine'), path);
      },
    ],
    ['a file', (path: string) => writeFileSync(path, '')],
    ['a FIFO', (path: string) => execFileSync('mkfifo', [path])],
  ])('%s is left alone', (_, prepare) => {
    asRoot(() => prepare(place));
    expect(openLogFile('/mnt/data', [place])).toBeUndefined();
    asRoot(() => {
      if (statSync(place).isDirectory()) expect(readdirSync(place)).toEqual([]);
    });
  });

  test.each([
    ['a FIFO', (path: string) => execFileSync('mkfifo', ['-m', '666', path])],
    ['a link', (path: string) => symlinkSync(join(scratch, 'victim'), path)],
    ['a second name', (path: string) => linkSync(join(scratch, 'victim'), path)],
    ['a directory', (path: string) => mkdirSync(path)],
    [
      'a file of a stranger',
      (path: string) => {
        writeFileSync(path, '');
        chmodSync(path, 0o666);
      },
    ],
  ])('within it, %s of the name is left alone', (_, prepare) => {
    asRoot(() => {
      mkdirSync(place, { mode: 0o700 });
      writeFileSync(join(scratch, 'victim'), 'kept');
      chownSync(join(scratch, 'victim'), 1234, 1234);
      prepare(join(place, 'mnt-data.log'));
      chownSync(place, 1234, 1234);
    });
    expect(openLogFile('/mnt/data', [place])).toBeUndefined();
    expect(readFileSync(join(scratch, 'victim'), 'utf8')).toBe('kept');
  });

  test('where others can rename, there is none', () => {
    asRoot(() => chmodSync(scratch, 0o777));
    expect(openLogFile('/mnt/data', [place])).toBeUndefined();
    expect(readdirSync(scratch)).toEqual([]);
  });
});
