/**
 * The POSIX cases without a kernel: on a volume in memory, and as FUSE requests, byte for byte,
 * onto such a volume. On real mounts they run in test/mount/posix.test.ts.
 */
import { describe, expect, test } from 'vitest';
import type { Capability } from './calls.ts';
import { FuseNodes } from './fuse-nodes.ts';
import { MemoryHarness } from './memory-harness.ts';
import { MOUNT_CAPABILITIES } from './mount-calls.ts';
import { runOn } from './run.ts';
import { SUBJECTS } from './subjects.ts';
import { VolumeNodes } from './volume-nodes.ts';

const VOLUME_CAPABILITIES: readonly Capability[] = [
  'slash in names',
  'NUL in names',
  'texts and sizes of nothing',
  'quotas',
];
const FUSE_CAPABILITIES: readonly Capability[] = ['slash in names', 'quotas'];

describe('POSIX on a volume', () => {
  runOn(
    new MemoryHarness(VOLUME_CAPABILITIES, (of) => ({ nodes: new VolumeNodes(of), atEnd: () => {} })),
    SUBJECTS,
  );
});

describe('POSIX by FUSE requests', () => {
  const harness = new MemoryHarness(FUSE_CAPABILITIES, (of) => {
    const nodes = new FuseNodes(of);
    const atEnd = () => {
      expect(nodes.lines).toEqual([]);
      expect(nodes.channel.takenSlots).toBe(0);
    };
    return { nodes, atEnd };
  });
  runOn(harness, SUBJECTS);
});

test('every case runs on some harness, and has a name of its own', () => {
  const all = SUBJECTS.flatMap(({ name, cases }) =>
    cases.map((one) => ({ needs: one.needs, name: `${name}: ${one.name}` })),
  );
  const harnesses = [VOLUME_CAPABILITIES, FUSE_CAPABILITIES, MOUNT_CAPABILITIES];
  const runs = (needs: readonly Capability[]) =>
    harnesses.some((has) => needs.every((one) => has.includes(one)));
  expect(all.filter(({ needs }) => !runs(needs)).map(({ name }) => name)).toEqual([]);
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
});
