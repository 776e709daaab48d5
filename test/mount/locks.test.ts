/** Locks and leases across processes: flock, fcntl, open file descriptions; as on any filesystem. */
import { afterEach, expect, test } from 'vitest';
import { describeMount, MIB, ROOT, run, Volume } from './harness.ts';

let volume: Volume | undefined;
afterEach(() => volume?.destroy());

describeMount.each(['loop', 'image'] as const)('on a volume in a %s', (kind) => {
  test('locks and leases are met by other processes, and end with their holders', async () => {
    const made = await Volume.make({ kind, sizeBytes: 64 * MIB });
    volume = made;
    const ended = await run('python3', [`${ROOT}/test/mount/locks.py`], { cwd: made.directory });
    expect(ended).toMatchObject({ status: 0, stderr: '' });
    await made.unmountAndCheck();
  });
});
