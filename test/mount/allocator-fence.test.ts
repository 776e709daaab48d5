/**
 * A user's allocator on a real mount: what it does wrong in and outside of its hooks, the mount
 * goes on and says whose fault it was.
 */
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { describeQuarry, MIB, quarry, until, Volume } from './harness.ts';

const HONEST = 'space.findRun(0, space.blockCount, want.minimum, want.length)';

/**
 * A module whose `create` runs `prologue`, and whose policy has these members besides an honest
 * `allocate`.
 */
function moduleText(prologue: string, members = ''): string {
  return `export default { name: 'mine', create(space) {
    ${prologue}
    return { allocate: (want) => ${HONEST}, ${members} };
  } };`;
}

async function withModule(
  text: string,
  body: (volume: Volume, file: string) => Promise<void>,
): Promise<void> {
  const volume = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
  try {
    const file = volume.scratch.file('mine.mjs');
    writeFileSync(file, text);
    await body(volume, file);
  } finally {
    await volume.destroy();
  }
}

async function faultOf(volume: Volume): Promise<string> {
  const { status, stdout, stderr } = await quarry('stat', '--json', volume.directory);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(stdout).volume.allocatorFault;
}

const WORK = 'head -c 3M /dev/urandom > a; cp a b; sync b; cmp a b; rm a; sync b; head -c 1M /dev/zero > c';

describeQuarry.concurrent('an allocator that does wrong', () => {
  test.each([
    ['a BigInt in stats()', moduleText('', 'stats: () => ({ big: 1n })'), /^stats\(\) returned 1n as 'big'/],
    [
      'a throw in release()',
      moduleText('', "release() { throw new Error('tired'); }"),
      /^release\(\) threw: tired/,
    ],
    [
      'a throw in a timer',
      moduleText("setTimeout(() => { throw new Error('late'); }, 50);"),
      /outside of its hooks it threw: late/,
    ],
    [
      'a throw of nothing, again and again',
      moduleText('setInterval(() => { throw undefined; }, 5).unref();'),
      /outside of its hooks it threw: undefined/,
    ],
    [
      'a promise rejected with null',
      moduleText('setTimeout(() => { void Promise.reject(null); }, 50);'),
      /outside of its hooks it threw: null/,
    ],
    [
      'process.exit() in a timer',
      moduleText('setTimeout(() => process.exit(0), 50);'),
      /outside of its hooks it threw: process\.exit\(\) is not for an allocator/,
    ],
    [
      'a question from a timer',
      moduleText('setTimeout(() => space.findRun(0, space.blockCount, 1, 1), 50);'),
      /the space was asked while no hook of the allocator was running/,
    ],
    [
      'a stream whose error nobody hears',
      moduleText(
        "import('node:fs').then(({ createReadStream }) => setTimeout(() => createReadStream('/nonexistent'), 50));",
      ),
      /outside of its hooks it threw: ENOENT/,
    ],
  ])('%s', (_, text, says) =>
    withModule(text, async (volume, file) => {
      await volume.mount('--allocator', file);
      await volume.shell(WORK);
      await until('the fault in quarry stat', 10_000, async () => says.test(await faultOf(volume)));
      await volume.shell('cmp b b && head -c 2M /dev/urandom > d && cp d e && sync e && cmp d e');
      await volume.unmount();
      expect(volume.daemonSaid).toMatch(
        says.source.startsWith('^') ? new RegExp(says.source.slice(1)) : says,
      );
      const told = volume.daemonSaid
        .split('\n')
        .filter((line) => line.includes(`allocator 'mine' (${file}): `));
      expect(told).toHaveLength(1);
      expect(told[0]).toMatch(new RegExp(says.source.replace('^', '')));
      expect(await volume.daemonEnd()).toBe(0);
      expect(await quarry('fsck', '-n', volume.image)).toMatchObject({ status: 0 });
    }),
  );

  test('a hook that never returns is told of, then ended, and the write that waited succeeds', () =>
    withModule(
      `export default { name: 'mine', create(space) {
        let calls = 0;
        return { allocate(want) { if (++calls > 5) for (;;) {} return ${HONEST}; } };
      } };`,
      async (volume, file) => {
        await volume.mount('--allocator', file);
        await volume.shell(WORK);
        await volume.shell('cmp b b; rm b c');
        expect(await faultOf(volume)).toBe('allocate() did not return within 5 s');
        await volume.unmountAndCheck();
        expect(volume.daemonSaid).toContain(
          `allocator 'mine' (${file}) has been busy in allocate() for 2 s; 'quarry umount --force ${volume.directory}' ends this mount`,
        );
        expect(volume.daemonSaid).toContain(
          "did not return within 5 s; 'goal-and-window' decides from now on",
        );
      },
    ));

  test('a create() that never returns refuses the mount', () =>
    withModule(moduleText('for (;;) {}'), async (volume, file) => {
      const { status, stdout, stderr } = await quarry(
        'mount',
        '--allocator',
        file,
        volume.image,
        volume.directory,
      );
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(/^quarry: [^\n]*allocator 'mine' [^\n]*create\(\) did not return within 5 s\n$/);
      expect(await quarry('fsck', '-n', volume.image)).toMatchObject({ status: 0 });
    }));

  test('a timer that never returns is told of', () =>
    withModule(moduleText('setTimeout(() => { for (;;) {} }, 2500);'), async (volume, file) => {
      await volume.mount('--allocator', file);
      await until('a word on it', 30_000, () =>
        volume.daemonSaid.includes(
          `allocator 'mine' (${file}) may keep the daemon busy outside of its hooks`,
        ),
      );
      volume.daemon?.kill('SIGKILL');
      await volume.daemonEnd();
    }));

  test('mount and stat say which it is, and a mount is refused that got none', () =>
    withModule(moduleText('', "release() { throw new Error('x'); }"), async (volume, file) => {
      const mounted = await quarry('mount', '-o', `allocator=${file}`, volume.image, volume.directory);
      expect(mounted).toEqual({ status: 0, stdout: '', stderr: `quarry: allocator 'mine' (${file})\n` });
      await volume.shell(WORK);
      const { stdout } = await quarry('stat', volume.directory);
      expect(stdout).toMatch(/volume allocator: +mine\n/);
      expect(stdout).toContain(file);
      expect(stdout).toMatch(/volume allocator fault: +release\(\) threw: x\n/);
      await volume.unmount();
      writeFileSync(file, "export default { name: 'mine', create() {} };");
      const refused = await quarry('mount', '--allocator', file, volume.image, volume.directory);
      expect({ status: refused.status, stdout: refused.stdout }).toEqual({ status: 1, stdout: '' });
      expect(refused.stderr).toMatch(
        /^quarry: [^\n]*allocator 'mine' [^\n]*create\(\) returned undefined instead of an object[^\n]*\n$/,
      );
    }));
});
