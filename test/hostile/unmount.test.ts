/**
 * The end of a volume that met damage: what is under way is waited for, and nothing is said to have
 * failed that did not.
 */
import { expect, test } from 'vitest';
import { CorruptionError } from '../../src/fs/base/errors.ts';
import { FileType, ROOT_INODE } from '../../src/fs/format/format.ts';
import { openVolume } from '../../src/fs/volume.ts';
import { CALLER } from '../suite/volume-harness.ts';
import { baseNamed, FIXED_CLOCK } from './bases.ts';
import { WatchedDevice } from './watched-device.ts';

test('a commit that is under way when a damaged volume is unmounted is not cut off', async () => {
  const { bytes } = await baseNamed('small-1k');
  const lines: string[] = [];
  const device = new WatchedDevice(bytes.fork(), { mostRequests: 10_000 });
  const log = (line: string) => lines.push(line);
  const volume = await openVolume(device, { commitSeconds: 0, clock: FIXED_CLOCK, log });
  const request = { mode: FileType.regular | 0o644, deviceNumber: 0, caller: CALLER };
  await volume.run((tx) => volume.create(tx, ROOT_INODE, new TextEncoder().encode('new'), request));
  const synced = volume.sync();
  volume.corrupt(new CorruptionError(7, 'found while a commit is written'));
  await volume.unmount();
  await synced;
  expect(lines).toEqual([expect.stringContaining('block 7: found while a commit is written')]);
  expect(device.offences).toEqual([]);
  expect(device.closed).toBe(true);
});
