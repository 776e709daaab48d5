/**
 * Every command of docs/LAB.md, in its order, as a reader would type them, on volumes that are
 * small and not for long.
 */
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { commandsOf } from '../suite/documents.ts';
import { describeQuarry, QUARRY, quarry, ROOT, Scratch, shell } from './harness.ts';

const commands = commandsOf('docs/LAB.md')
  .map(({ text }) => text)
  .filter((text) => text.startsWith('quarry '));

/** What is put behind a command so that it ends soon; the last of two options counts. */
function shortened(command: string): string {
  if (command.includes('quarry-record --policies')) return `${command} --seeds 1 --samples 1`;
  if (command.startsWith('quarry lab run')) return `${command} --size 64M --churn 0.1 --samples 1 --seeds 1`;
  if (command.startsWith('quarry lab verify')) return `${command} --rounds 3`;
  if (command.startsWith('quarry record')) return `${command} --seconds 1`;
  return command;
}

test('there are commands on the page, of each kind', () => {
  for (const kind of ['lab new', 'lab verify', 'lab run', 'lab report', 'record', 'mount'])
    expect(commands.filter((command) => command.startsWith(`quarry ${kind}`))).not.toEqual([]);
});

describeQuarry('docs/LAB.md', () => {
  const scratch = new Scratch();
  const mount = scratch.file('mnt');
  afterAll(async () => {
    await shell(`umount '${mount}' 2>/dev/null || true`);
    await scratch.remove();
  });

  /** Its places are ours, and of the kernel's filesystems there is the one that everybody has. */
  const here = (command: string) =>
    shortened(command)
      .replaceAll('/dev/shm', scratch.path)
      .replaceAll('/var/lib/', `${scratch.path}/`)
      .replaceAll('/mnt', mount)
      .replaceAll('ext4,xfs,btrfs', 'ext4')
      .replace(/^quarry/, `'${process.execPath}' '${QUARRY}'`);

  describe('its commands', () => {
    test.each(commands)(
      '%s',
      async (command) => {
        if (command.includes('./synced.js')) {
          copyFileSync(join(ROOT, 'examples/lab/synced.js'), scratch.file('synced.js'));
        }
        if (command.startsWith('quarry record')) {
          await shell(`mkdir -p '${mount}' && truncate -s 64M '${scratch.file('disk.img')}'`);
          await quarry('mkfs', scratch.file('disk.img'));
          await quarry('mount', scratch.file('disk.img'), mount);
          await shell(`echo before > '${mount}/before'`);
        }
        if (command.startsWith('quarry mount')) {
          expect((await quarry('umount', mount)).status).toBe(0);
          await shell(`rm '${scratch.file('year.quarry-record')}'`);
        }
        await shell(here(command), { cwd: scratch.path, limitMs: 120_000 });
        if (command.startsWith('quarry mount')) {
          await shell(`echo much > '${mount}/file' && sync -f '${mount}'`);
          expect((await quarry('umount', mount)).status).toBe(0);
          expect(existsSync(scratch.file('year.quarry-record'))).toBe(true);
        }
      },
      180_000,
    );
  });
});
