/**
 * Work without a bound on a real mount: it comes to its end, others are served meanwhile, and what
 * is left behind is sound.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeQuarry, MIB, quarry, shell, Volume } from './harness.ts';

/** Writes a file of single blocks with holes between. */
const SCATTER = `
import os, sys
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600)
for at in range(int(sys.argv[2])):
    os.pwrite(file, b'x' * 4096, at * 8192)
os.fsync(file)
os.close(file)
`;

interface Turns {
  count: number;
  longestMilliseconds: number;
  shorterThanMicroseconds: Record<string, number>;
}

describeQuarry('a file in very many pieces', () => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.make({ sizeBytes: 300 * MIB, blockBytes: 1024 }, { mounted: false });
    // With the least journal a step is a few pieces, and their number is that of a file ten times
    // as large.
    await shell(
      `node '${process.env.QUARRY_COMMAND ?? 'dist/cli/main.js'}' mkfs -qf -b 1K -J 64K '${volume.target}'`,
    );
    expect(await quarry('mount', volume.target, volume.directory)).toMatchObject({ status: 0 });
  });
  afterEach(async () => {
    await quarry('umount', volume.directory);
    await volume?.destroy();
  });

  test('is removed and cut off, and everybody else goes on', async ({ annotate }) => {
    await volume.python(SCATTER, ['removed', '24000']);
    await volume.python(SCATTER, ['cut', '24000']);
    await volume.shell(
      'rm removed; truncate -s 8K cut; echo after > file; test "$(cat file)" = after; ls > /dev/null',
    );
    const { turns } = JSON.parse((await quarry('stat', '--json', volume.directory)).stdout) as {
      turns: Turns;
    };
    await annotate(`the longest of ${turns.count} turns: ${turns.longestMilliseconds.toFixed(1)} ms`);
    const counts = Object.values(turns.shorterThanMicroseconds);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(turns.count);
    expect(turns.count).toBeGreaterThan(1000);
    expect(await quarry('umount', volume.directory)).toMatchObject({ status: 0, stderr: '' });
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
  });
});
