/** The command line of `quarry watch`, the watch that a daemon keeps, and the screen. */
import { EventEmitter } from 'node:events';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Terminal } from '../../src/cli/command.ts';
import { MountWatch } from '../../src/cli/mount-watch.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import { watchChoice } from '../../src/cli/watch-command.ts';
import { WatchScreen } from '../../src/cli/watch-screen.ts';
import { chartFolder } from '../../src/cli/watch-web.ts';
import type { MemoryDevice } from '../../src/sim/memory-device.ts';
import { TestVolume } from '../suite/volume-harness.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

function quiet(): { terminal: Terminal; said: { out: string; err: string } } {
  const said = { out: '', err: '' };
  const terminal: Terminal = {
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    interactive: false,
  };
  return { terminal, said };
}

describe('the command line', () => {
  test('says which form, how often, how many, and where', () => {
    expect(watchChoice({}, true)).toMatchObject({ form: 'screen', intervalSeconds: 1, count: Infinity });
    expect(watchChoice({}, false).form).toBe('lines');
    expect(watchChoice({ json: true, interval: '0.5', count: '3' }, true)).toMatchObject({
      form: 'json',
      intervalSeconds: 0.5,
      count: 3,
    });
    expect(watchChoice({ web: true }, true)).toMatchObject({ form: 'web', port: 0 });
    expect(watchChoice({ web: '8080' }, true)).toMatchObject({ form: 'web', port: 8080 });
  });

  test.each([
    ['--interval 0', /--interval 0 is not a time/],
    ['--interval 0.05', /out of bounds/],
    ['--interval 3601', /out of bounds/],
    ['--interval soon', /--interval soon/],
    ['--count 0', /--count 0 is not a number/],
    ['--count 1.5', /--count 1.5/],
    ['--web=70000', /--web 70000 is not a port/],
    ['--web=http', /--web http is not a port/],
    ['--json --web', /only one of --json and --web/],
    ['--web --count 3', /--count does not go with --web/],
  ])('%s is refused in one line', async (words, says) => {
    const { terminal, said } = quiet();
    expect(await runCommandLine(['watch', '/', ...words.split(' ')], terminal)).toBe(2);
    expect(said.out).toBe('');
    expect(said.err).toMatch(/^(quarry: [^\n]+|\{"error":"[^\n]+"\})\n$/);
    expect(said.err).toMatch(says);
  });

  test('what is no mount of ours is refused', async () => {
    const { terminal, said } = quiet();
    expect(await runCommandLine(['watch', '/'], terminal)).toBe(1);
    expect(said.err).toMatch(/^quarry: [^\n]+\n$/);
  });

  test('without the library of charts --web says what to install', () => {
    const missing = () => {
      throw Object.assign(new Error('gone'), { code: 'MODULE_NOT_FOUND' });
    };
    expect(() => chartFolder(missing as never)).toThrow(/npm install uplot/);
    expect(chartFolder()).toMatch(/uplot/);
  });
});

describe('the watch of a daemon', () => {
  afterEach(() => vi.useRealTimers());

  test('begins with a question and ends when none comes for a while', async () => {
    const volume = await TestVolume.make(8 * MIB, KIB);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const watch = new MountWatch(volume.volume, {});
    expect(watch.isWatched).toBe(false);
    const first = await watch.answer('{}');
    vi.advanceTimersByTime(9000);
    const second = await watch.answer('{"intervalSeconds":20}');
    expect(second.epoch).toBe(first.epoch);
    vi.advanceTimersByTime(59_000);
    expect(watch.isWatched).toBe(true);
    vi.advanceTimersByTime(2000);
    expect(watch.isWatched).toBe(false);
    const third = await watch.answer('');
    expect(third.epoch).not.toBe(first.epoch);
    watch.end();
    await volume.volume.unmount();
  });

  test('a watcher who comes and goes does not end the watch of a slower one', async () => {
    const volume = await TestVolume.make(8 * MIB, KIB);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const watch = new MountWatch(volume.volume, {});
    const { epoch } = await watch.answer('{"intervalSeconds":60}');
    vi.advanceTimersByTime(20_000);
    expect((await watch.answer('{"intervalSeconds":1}')).epoch).toBe(epoch);
    vi.advanceTimersByTime(159_000);
    expect(watch.isWatched).toBe(true);
    vi.advanceTimersByTime(2000);
    expect(watch.isWatched).toBe(false);
    // What was promised to those who are gone is forgotten.
    await watch.answer('{"intervalSeconds":1}');
    vi.advanceTimersByTime(11_000);
    expect(watch.isWatched).toBe(false);
    await volume.volume.unmount();
  });

  test('waits for a round only where nothing new enough is known', async () => {
    const volume = await TestVolume.make(8 * MIB, KIB);
    vi.useFakeTimers({ toFake: ['performance'] });
    const watch = new MountWatch(volume.volume, {});
    await watch.answer('{}');
    let endRound = () => {};
    const rounds = vi.spyOn(volume.volume, 'surveyOn').mockImplementation(
      () =>
        new Promise((resolve) => {
          endRound = resolve;
        }),
    );
    let answered = 0;
    const ask = async () => {
      await watch.answer('{}');
      answered++;
    };
    vi.advanceTimersByTime(1000);
    await ask();
    // Who asks meanwhile shares the round.
    await ask();
    expect([answered, rounds.mock.calls.length]).toEqual([2, 1]);
    vi.advanceTimersByTime(1000);
    const late = ask();
    await new Promise((resolve) => setImmediate(resolve));
    expect([answered, rounds.mock.calls.length]).toEqual([2, 1]);
    endRound();
    await late;
    expect(answered).toBe(3);
    watch.end();
    await volume.volume.unmount();
  });

  test('tells a map as a whole, then what changed; none to whom wants none', async () => {
    const volume = await TestVolume.make(8 * MIB, KIB);
    const watch = new MountWatch(volume.volume, {});
    expect((await watch.answer('{}')).survey?.cells).toBeUndefined();
    const ask = (epoch: number, revision: number) =>
      watch.answer(JSON.stringify({ intervalSeconds: 1, map: { epoch, revision } }));
    const whole = await ask(0, 999);
    const revision = whole.survey?.revision ?? -1;
    expect(whole.survey?.cells).toHaveLength(2 * (whole.survey?.cellCount ?? 0));
    expect((await ask(whole.epoch, revision)).survey?.cells).toEqual([]);
    const inode = await volume.create('/file');
    await volume.write(inode, 0, new Uint8Array(5 * KIB).fill(1));
    // What has changed is looked at behind an answer.
    await ask(whole.epoch, revision);
    await new Promise((resolve) => setImmediate(resolve));
    const changed = await ask(whole.epoch, revision);
    expect(changed.survey?.cells?.length).toBeGreaterThanOrEqual(10);
    expect(changed.survey?.cells?.length).toBeLessThan(100);
    expect(changed.requests).toBeUndefined();
    watch.end();
    await volume.volume.unmount();
  });

  test('a volume that has grown has another map', async () => {
    const volume = await TestVolume.make(8 * MIB, KIB);
    const watch = new MountWatch(volume.volume, {});
    const before = await watch.answer('{}');
    volume.volume.layout.resize(volume.volume.layout.blockCount - 100);
    const after = await watch.answer('{}');
    expect(after.epoch).not.toBe(before.epoch);
    expect(after.survey?.cellCount).toBe((before.survey?.cellCount ?? 0) - 100);
    watch.end();
  });

  test('a bitmap that cannot be read ends neither the watch nor the survey', async () => {
    const volume = await TestVolume.make(64 * MIB, KIB);
    const { layout } = volume.volume;
    expect(layout.groupCount).toBeGreaterThan(6);
    await volume.volume.unmount();
    const bytes = (volume.device as MemoryDevice).reopen();
    bytes.poke(layout.bitmapBlock(0) * KIB + 100, new Uint8Array([0x55, 0xaa]));
    const damaged = await TestVolume.open(bytes);
    const watch = new MountWatch(damaged.volume, {});
    let last = await watch.answer('{}');
    // A question takes a round, which ends after some time.
    for (let more = 0; more < 100 && last.survey?.unknownGroups !== 0; more++)
      last = await watch.answer('{}');
    expect(last.survey).toMatchObject({ unknownGroups: 0 });
    expect(last.readOnly).toBe(true);
    watch.end();
  });

  test('a question that is none is an error, and makes no watch', async () => {
    const volume = await TestVolume.make(8 * MIB, KIB);
    const watch = new MountWatch(volume.volume, {});
    await expect(watch.answer('{')).rejects.toThrow();
    expect(watch.isWatched).toBe(false);
    const odd = await watch.answer('{"intervalSeconds":"x","map":{"epoch":[]}}');
    expect(odd.survey?.cells).toBeUndefined();
    watch.end();
    await volume.volume.unmount();
  });
});

describe('the screen', () => {
  test('is entered, drawn over, drawn anew when it changes its size, and left', () => {
    const { terminal, said } = quiet();
    const stream = Object.assign(new EventEmitter(), { columns: 20, rows: 5 });
    const screen = new WatchScreen(terminal, stream);
    screen.enter();
    expect(said.out).toContain('\x1b[?1049h\x1b[?25l');
    said.out = '';
    // Nothing is written into the last column, where it would be cleared again.
    screen.show(({ columns, rows }) => [`${columns} by ${rows}`, 'second']);
    expect(said.out).toBe('\x1b[H19 by 5\x1b[K\r\nsecond\x1b[K\x1b[J');
    said.out = '';
    stream.columns = 30;
    stream.emit('resize');
    expect(said.out).toMatch(/29 by 5/);
    said.out = '';
    screen.leave();
    expect(said.out).toBe('\x1b[?25h\x1b[?1049l');
    stream.emit('resize');
    expect(stream.listenerCount('resize')).toBe(0);
    expect(said.out).toBe('\x1b[?25h\x1b[?1049l');
  });

  test('is left while the process is stopped, and drawn when it goes on', () => {
    const { terminal, said } = quiet();
    const stream = Object.assign(new EventEmitter(), { columns: 20, rows: 5 });
    let seenWhenStopped = '';
    const screen = new WatchScreen(terminal, stream, () => {
      seenWhenStopped = said.out;
      said.out = '';
    });
    const before = process.listenerCount('SIGTSTP');
    screen.enter();
    screen.show(() => ['line']);
    process.emit('SIGTSTP');
    expect(seenWhenStopped.endsWith('line\x1b[K\x1b[J\x1b[?25h\x1b[?1049l')).toBe(true);
    expect(said.out).toBe('');
    process.emit('SIGCONT');
    expect(said.out.startsWith('\x1b[?1049h')).toBe(true);
    expect(said.out).toMatch(/line/);
    screen.leave();
    expect(process.listenerCount('SIGTSTP')).toBe(before);
  });
});
