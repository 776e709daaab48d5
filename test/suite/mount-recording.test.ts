/** Recording a mount as its daemon does it: one record at a time, which ends when nobody asks for it. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MountRecording } from '../../src/cli/mount-recording.ts';
import { OwnMount } from '../../src/cli/own-mount.ts';
import { RecordReader } from '../../src/record/record-reader.ts';
import { FuseVolume } from './fuse-volume.ts';
import { TestVolume } from './volume-harness.ts';

const directory = mkdtempSync(join(tmpdir(), 'quarry-recording-'));
afterAll(() => rmSync(directory, { recursive: true }));
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

interface Recorded {
  readonly recording: MountRecording;
  readonly mount: FuseVolume;
  readonly lines: string[];
}

async function recorded(canWatch = true): Promise<Recorded> {
  const volume = await TestVolume.make(16 * 2 ** 20, 4096);
  const mount = new FuseVolume(volume);
  const lines: string[] = [];
  const session = canWatch ? mount.session : {};
  const place = OwnMount.on('/nowhere');
  const recording = new MountRecording({ volume: volume.volume, session, place }, (line) => lines.push(line));
  return { recording, mount, lines };
}

const begin = (name: string) =>
  JSON.stringify({ action: 'begin', path: join(directory, name), overwrite: false, hashNames: false });
const LOOK = '{"action":"look"}';

test('a record is looked at, and ends as it was asked to', async () => {
  const { recording, mount, lines } = await recorded();
  expect(await recording.answer(LOOK)).toBe(null);
  const began = await recording.answer(begin('one'));
  expect(began).toMatchObject({ isRecording: true, path: join(directory, 'one') });
  expect(statSync(join(directory, 'one')).mode & 0o777).toBe(0o600);
  await mount.mknod(1, 'file');
  await expect(recording.answer(begin('two'))).rejects.toThrow(/recorded already, into .*one$/);
  // What exists is told, which is nothing, and then that it is; and the file.
  expect(await recording.answer('{"action":"end"}')).toMatchObject({ isRecording: false, operations: 2 });
  await mount.mknod(1, 'later');
  expect(await recording.answer('{"action":"end"}')).toMatchObject({ isRecording: false, operations: 2 });
  const reader = new RecordReader(join(directory, 'one'));
  expect([...reader.operations()]).toHaveLength(2);
  expect(reader.isWhole).toBe(true);
  reader.close();
  expect(lines).toEqual([]);
  expect(await recording.answer(begin('two'))).toMatchObject({
    isRecording: true,
    operations: expect.any(Number),
  });
  await recording.end();
});

test('a record that nobody asks for any more ends with a line', async () => {
  const { recording, lines } = await recorded();
  await recording.answer(begin('left'));
  vi.advanceTimersByTime(29_000);
  expect(await recording.answer(LOOK)).toMatchObject({ isRecording: true });
  vi.advanceTimersByTime(29_000);
  expect(recording.state).toMatchObject({ isRecording: true });
  vi.advanceTimersByTime(1001);
  expect(recording.state).toMatchObject({ isRecording: false });
  expect(lines).toEqual([expect.stringMatching(/left ends: nobody has asked for it for 30 s$/)]);
  await recording.end();
});

test('what is no question, or cannot be, begins nothing', async () => {
  const { recording } = await recorded();
  for (const payload of ['{}', '5', '{"action":"begin","path":"relative"}', '{"action":"begin"}'])
    await expect(recording.answer(payload)).rejects.toThrow('that is no question about a record');
  await expect(recording.answer('{')).rejects.toThrow();
  const other = await recorded(false);
  await expect(other.recording.answer(begin('never'))).rejects.toThrow(
    /layer=fuse-native cannot be recorded/,
  );
  expect(recording.state).toBe(undefined);
});
