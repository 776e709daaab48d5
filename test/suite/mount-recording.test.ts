/** Recording a mount as its daemon does it: one record at a time, which ends when nobody asks for it. */
import {
  chownSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MountRecording } from '../../src/cli/mount-recording.ts';
import { OwnMount } from '../../src/cli/own-mount.ts';
import { RecordFile } from '../../src/cli/record-target.ts';
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
const about = (action: string, name: string) => JSON.stringify({ action, path: join(directory, name) });

test('a record is looked at, and ends as it was asked to', async () => {
  const { recording, mount, lines } = await recorded();
  expect(await recording.answer(about('look', 'one'))).toBe(null);
  const began = await recording.answer(begin('one'));
  expect(began).toMatchObject({ isRecording: true, path: join(directory, 'one') });
  expect(statSync(join(directory, 'one')).mode & 0o777).toBe(0o600);
  await mount.mknod(1, 'file');
  await expect(recording.answer(begin('two'))).rejects.toThrow(/recorded already, into .*one$/);
  // What exists is told, which is nothing, and then that it is; and the file.
  expect(await recording.answer(about('end', 'one'))).toMatchObject({ isRecording: false, operations: 2 });
  await mount.mknod(1, 'later');
  expect(await recording.answer(about('end', 'one'))).toMatchObject({ isRecording: false, operations: 2 });
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
  expect(await recording.answer(about('look', 'left'))).toMatchObject({ isRecording: true });
  vi.advanceTimersByTime(29_000);
  expect(recording.state).toMatchObject({ isRecording: true });
  vi.advanceTimersByTime(1001);
  expect(recording.state).toMatchObject({ isRecording: false });
  expect(lines).toEqual([expect.stringMatching(/left ends: nobody has asked for it for 30 s$/)]);
  await recording.end();
});

test('what is no question, or cannot be, begins nothing', async () => {
  const { recording } = await recorded();
  for (const payload of [
    '{}',
    '5',
    '{"action":"begin","path":"relative"}',
    '{"action":"begin"}',
    '{"action":"end"}',
  ])
    await expect(recording.answer(payload)).rejects.toThrow('that is no question about a record');
  await expect(recording.answer('{')).rejects.toThrow();
  const other = await recorded(false);
  await expect(other.recording.answer(begin('never'))).rejects.toThrow(
    /layer=fuse-native cannot be recorded/,
  );
  expect(recording.state).toBe(undefined);
});

test('whoever asks about a record that is over does not touch the one after it', async () => {
  const { recording } = await recorded();
  await recording.answer(begin('first'));
  await recording.answer(about('end', 'first'));
  await recording.answer(begin('second'));
  for (const action of ['look', 'end'])
    await expect(recording.answer(about(action, 'first'))).rejects.toThrow(
      /first is not recorded into any more$/,
    );
  expect(recording.state).toMatchObject({ isRecording: true });
  await recording.end();
});

test('an old record stays until a new one begins, in a file of its own', async () => {
  const { recording } = await recorded();
  await recording.answer(begin('old'));
  await recording.end();
  const path = join(directory, 'old');
  const before = { inode: statSync(path).ino, bytes: readFileSync(path) };
  const target = { path, overwrite: true, mountDevice: undefined };
  await (await RecordFile.open(target)).discard();
  expect(readFileSync(path)).toEqual(before.bytes);
  const next = await RecordFile.open(target);
  expect(readFileSync(path)).toEqual(before.bytes);
  // Two do not prepare to take its place.
  await expect(RecordFile.open(target)).rejects.toThrow(/is there already \(\.new\)/);
  await next.settle();
  await next.close();
  expect(statSync(path)).toMatchObject({ size: 0 });
  expect(statSync(path).ino).not.toBe(before.inode);
  expect(existsSync(`${path}.new`)).toBe(false);
});

test('a record does not begin where the volume cannot be asked, and leaves nothing', async () => {
  const { recording, mount } = await recorded();
  vi.spyOn(mount.volume.volume, 'space').mockRejectedValue(new Error('EIO'));
  await expect(recording.answer(begin('unread'))).rejects.toThrow('EIO');
  expect(existsSync(join(directory, 'unread'))).toBe(false);
  vi.restoreAllMocks();
  await recording.answer(begin('unread'));
  await recording.end();
});

test.skipIf(process.getuid?.() !== 0)('the record of somebody else is not taken for ours', async () => {
  const path = join(directory, 'foreign');
  writeFileSync(path, '');
  chownSync(path, 65534, 65534);
  const target = { path, overwrite: true, mountDevice: undefined };
  await expect(RecordFile.open(target)).rejects.toThrow(/belongs to somebody else/);
  copyFileSync('/dev/null', join(directory, 'ours'));
  await (await RecordFile.open({ ...target, path: join(directory, 'ours') })).discard();
  expect(statSync(path).uid).toBe(65534);
});
