/** A mount that is watched: when it is asked, and what comes of a daemon that says nothing. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { AskOptions } from '../../src/cli/ask-mount.ts';
import { NoAnswerError } from '../../src/cli/ask-mount.ts';
import { MountEnded, WatchedMount, type WatchRequest } from '../../src/cli/watched-mount.ts';
import { type MountRecord, mountTable } from '../../src/fuse/mount-table.ts';

const asked: { at: number; options: AskOptions }[] = [];
let answer: (options: AskOptions) => Promise<unknown>;

vi.mock('../../src/cli/ask-mount.ts', async (original) => ({
  ...(await original<object>()),
  askMount: (_mount: unknown, _name: unknown, options: AskOptions) => {
    asked.push({ at: performance.now(), options });
    return answer(options);
  },
}));

let end: AbortController;
let remarks: string[];

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  asked.length = 0;
  remarks = [];
  end = new AbortController();
  answer = async () => ({ epoch: 1, blockBytes: 4096, milliseconds: performance.now() });
});
afterEach(() => vi.useRealTimers());

function watched(changes: Partial<WatchRequest> = {}, place: Partial<MountRecord> = {}): WatchedMount {
  // Any that there is: it is looked up where there is no answer.
  const [mount] = mountTable();
  if (mount === undefined) throw new Error('nothing is mounted');
  const silent = (line: string) => remarks.push(line);
  return new WatchedMount(
    { ...mount, ...place },
    {
      intervalSeconds: 10,
      withMap: false,
      signal: end.signal,
      silent,
      ...changes,
    },
  );
}

/** Watches until the signal; time passes by `advance`. */
function observed(mount: WatchedMount): Promise<void> {
  const all = async () => {
    for await (const _ of mount.observe());
  };
  return all();
}

async function advance(seconds: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(1000 * seconds);
}

/** When it was asked, in seconds from the first time on. */
function times(): number[] {
  return asked.map(({ at }) => Math.round((at - (asked[0]?.at ?? 0)) / 1000));
}

test('it is asked once in an interval', async () => {
  const over = observed(watched());
  await advance(25);
  expect(times()).toEqual([0, 10, 20]);
  end.abort();
  await over;
});

test('after a look that came early the next one is an interval away, not more', async () => {
  const mount = watched();
  const over = observed(mount);
  for (let i = 0; i < 3; i++) {
    await advance(1);
    mount.wake();
  }
  await advance(10);
  expect(times()).toEqual([0, 1, 2, 3, 13]);
  end.abort();
  await over;
});

test('after an answer that came late the next look keeps its time', async () => {
  answer = async () => {
    await new Promise((resolve) => setTimeout(resolve, 4000));
    return { epoch: 1, blockBytes: 4096 };
  };
  const over = observed(watched());
  await advance(25);
  expect(times()).toEqual([0, 10, 20]);
  end.abort();
  await advance(4);
  await over;
});

/** As a daemon that is stopped, until the asker gives up. */
function silence({ signal }: AskOptions): Promise<never> {
  return new Promise((_, reject) => {
    const giveUp = () => reject(new NoAnswerError('silent', 'the daemon does not answer'));
    setTimeout(giveUp, 5000);
    signal?.addEventListener('abort', giveUp);
  });
}

test('a daemon that does not answer is spoken of, but not to whom has ended the watch', async () => {
  answer = silence;
  const over = observed(watched());
  await advance(6);
  expect(remarks).toEqual(['the daemon does not answer']);
  await advance(5);
  end.abort();
  await over;
  expect([remarks.length, asked.length]).toEqual([1, 2]);
});

test('a first look asks for no longer than it has to, and ends with the watcher without a word', async () => {
  await watched({ intervalSeconds: 3600 }).probe();
  expect(JSON.parse(asked[0]?.options.payload ?? '')).toEqual({ intervalSeconds: 1 });
  answer = silence;
  const late = watched().probe();
  end.abort();
  await late;
});

test('a mount whose id another one has by now was unmounted', async () => {
  answer = () => Promise.reject(new NoAnswerError('foreign', 'it cannot be asked (ESTALE, mount id)'));
  await expect(watched().probe()).rejects.toThrow(/cannot be asked/);
  const gone = watched({}, { directory: '/where it was' }).probe();
  await expect(gone).rejects.toThrow(new MountEnded('/where it was was unmounted', true));
});
