/**
 * Every command that a document shows is run, as a reader would type it, in the order of the page,
 * on volumes that are small and not for long; and what a transcript shows is what is said. What
 * cannot be run here is named below, with the reason. (The laboratory's page, docs/LAB.md, has a
 * test of its own, and so has what docs/PROGRAM.md shows of a shell.)
 */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isMissing } from '../missing.ts';
import { commandsOf, commandsOfRows, DOCUMENTS, pageOf, type ShownCommand } from '../suite/documents.ts';
import {
  describeQuarry,
  isMountPoint,
  QUARRY,
  quarry,
  ROOT,
  Scratch,
  shell,
  shellResult,
} from './harness.ts';

/** Pages whose commands another test runs. */
const ELSEWHERE = new Map([
  ['docs/LAB.md', 'test/mount/lab-docs.test.ts'],
  ['docs/PROGRAM.md', 'test/unit/program-examples.test.ts'],
]);

/** Commands that are not run, by how they begin, and why. */
const NOT_RUN: readonly { begins: string; count: number; reason: string }[] = [
  {
    begins: 'npm install && ',
    count: 2,
    reason: 'installs anew what runs this test; `npm run bare-root` runs both in an empty system',
  },
  {
    begins: 'npm run ',
    count: 23,
    reason:
      'minutes to hours; test/unit/documents.test.ts looks at script and options, test/crash, test/hostile and others play them in small',
  },
  {
    begins: 'npx vitest run ',
    count: 4,
    reason: 'tests that run here anyway; test/unit/documents.test.ts looks whether there are such files',
  },
  { begins: 'QUARRY_TEST_SYSTEM=ext4 npx vitest', count: 2, reason: 'the same on another filesystem' },
  { begins: 'QUARRY_DEBUG=1 quarry …', count: 1, reason: 'a pattern, no command' },
  { begins: 'fsx ', count: 1, reason: 'a program of xfstests, which no distribution has' },
];

const UNKNOWN = ['setfattr', 'setfacl'].filter((program) => isMissing(program));

const reasonNotToRun = (command: string) => NOT_RUN.find(({ begins }) => command.startsWith(begins));

/** What a page needs before, what stands for its places, and what ends its commands soon. */
interface Scene {
  /** A script in the page's folder, before its first command. */
  readonly prepare?: string;
  readonly places?: readonly (readonly [from: string | RegExp, to: string])[];
  /** A command with what ends it soon; the last of two options counts. */
  readonly soon?: (command: string) => string;
  /** A script before a command: what the text says that somebody has done meanwhile. */
  readonly before?: (command: ShownCommand) => string;
}

/** A volume with the files that docs/FRAGMENTATION.md speaks of, in pieces by first-fit. */
const WOVEN = `truncate -s 64M disk.img && mkdir mnt && quarry mkfs -q disk.img
quarry mount --allocator first-fit disk.img mnt
python3 - <<'PYTHON'
import os
for name in 'mnt/photos', 'mnt/db', 'mnt/docs': os.mkdir(name)
for i in range(300):
    with open('mnt/docs/%d' % i, 'wb') as file: file.write(os.urandom(3000 + i % 7 * 9000))
for i in range(0, 300, 3): os.remove('mnt/docs/%d' % i)
def weave(names, times, size):
    files = [open(name, 'wb') for name in names]
    for i in range(times):
        for file in files:
            file.write(os.urandom(size)); file.flush(); os.fsync(file.fileno())
weave(['mnt/photos/2010', 'mnt/photos/2350'], 7, 180_000)
weave(['mnt/photos/2368', 'mnt/photos/2462'], 2, 300_000)
weave(['mnt/db/items.db', 'mnt/db/orders.db'], 60, 8192)
open('mnt/small', 'w').write('in the inode')
PYTHON
sync -f mnt`;

/** The policy that docs/ALLOCATORS.md shows, as a module. */
const [SHOWN_POLICY] = pageOf('docs/ALLOCATORS.md').blocks.filter(({ language }) => language === 'js');

const SCENES: Record<string, Scene> = {
  'README.md': { prepare: `mkdir mnt node_modules && cp -a '${ROOT}/src/common' node_modules/` },
  'docs/AIO.md': {
    prepare: 'truncate -s 16M disk.img',
    places: [['/dev/nvme0n1', '"$LOOP1"']],
    soon: (command) => `${command} --seconds 0.1`,
  },
  'docs/ALLOCATORS.md': {
    prepare: `truncate -s 64M volume.img && mkdir mnt && quarry mkfs -q volume.img
cat > mine.js <<'POLICY'
${SHOWN_POLICY?.lines.join('\n')}
POLICY`,
    before: ({ text, output }) => {
      if (text.includes('--allocator ./mine.js')) return 'quarry umount mnt';
      if (text.startsWith('quarry lab run')) return 'quarry umount mnt';
      // "Here somebody has left out the last question".
      return isFailure(output)
        ? `sed -i -e '/findRun(0,/d' -e 's/\\(minimum, length)\\) ??$/\\1/' mine.ts`
        : '';
    },
    soon: (command) => {
      if (command.startsWith('quarry lab verify')) return `${command} --rounds 3`;
      if (!command.startsWith('quarry lab run')) return command;
      return `${command} --size 32M --churn 0.01 --samples 1 --seeds 1 --workloads files --out report`;
    },
  },
  'docs/CLONE.md': {
    prepare: 'quarry mkfs -q -f "$LOOP1"',
    places: [
      ['/dev/sdb1', '"$LOOP1"'],
      ['/dev/sdc1', '"$LOOP2"'],
    ],
    before: ({ text }) =>
      text.includes('/dev/sdc1') ? 'dd if=/dev/zero of="$LOOP2" bs=1M count=64 status=none' : '',
  },
  'docs/COMPARISON.md': {
    prepare: `mkdir mnt other dir node_modules && ln -s '${ROOT}' node_modules/quarryfs && ln -s '${ROOT}/examples' .
cp -r '${ROOT}'/examples/aio dir && quarry mkfs -q --size 64M disk.img && quarry mount disk.img mnt
head -c 70M /dev/zero > big && head -c 1M /dev/urandom > mnt/a && cp mnt/a mnt/b
head -c 2M /dev/zero > mnt/swap && chmod 600 mnt/swap && mkswap mnt/swap > /dev/null && sync -f mnt`,
    soon: (command) =>
      command.startsWith('quarry lab run') ? `${command} --churn 0.1 --samples 1 --seeds 1` : command,
  },
  'docs/FRAGMENTATION.md': {
    prepare: WOVEN,
    before: ({ text }) => {
      if (text === 'quarry frag disk.img' || text.includes('map.svg')) return 'quarry umount mnt';
      const isMounted = text === 'quarry frag mnt/photos' || text === 'quarry defrag -n mnt';
      return isMounted ? 'quarry mount --allocator first-fit disk.img mnt' : '';
    },
  },
  'docs/MOUNT.md': {
    prepare: `mkdir mnt sbin && truncate -s 64M disk.img && quarry mkfs -q -O quota disk.img
quarry mount disk.img mnt && mkdir mnt/web`,
    places: [
      [/\/mnt\b/g, '"$PWD"/mnt'],
      ['/sbin/', '"$PWD"/sbin/'],
      ['--user ada', '--user daemon'],
    ],
  },
  'docs/MOUNTING.md': { soon: (command) => `${command} --prefix "$PWD"/prefix` },
  'docs/WATCH.md': {
    prepare: `truncate -s 64M disk.img && mkdir mnt && quarry mkfs -q disk.img && quarry mount disk.img mnt`,
    soon: (command) => {
      // Without --foreground the signal comes twice, and the second one may find it at its end.
      if (command.endsWith('--web'))
        return `timeout --foreground --preserve-status --signal INT 1 ${command}`;
      return command
        .replace(/--interval \d+|--count \d+/g, '')
        .replace('watch mnt', '$& --interval 0.1 --count 2');
    },
  },
};

/** A transcript of a command that finds something wrong says so. */
function isFailure(output: readonly string[] | undefined): boolean {
  return output?.some((line) => line.includes(' breaks the rule ')) ?? false;
}

/** The commands of a page; of the comparison, those in the middle column of its tables. */
const commandsOn = (document: string) =>
  document === 'docs/COMPARISON.md' ? commandsOfRows(document) : commandsOf(document);

const pages = DOCUMENTS.map((document) => ({ document, commands: commandsOn(document) })).filter(
  ({ commands }) => commands.length > 0,
);

test('every command is run, here or elsewhere, or named with its reason', () => {
  const left = pages
    .filter(({ document }) => !ELSEWHERE.has(document) && !SCENES[document])
    .flatMap(({ commands }) => commands)
    .filter(({ text }) => !reasonNotToRun(text));
  expect(left).toEqual([]);
  const all = pages.flatMap(({ commands }) => commands);
  expect(all.length).toBeGreaterThan(80);
  for (const { begins, count } of NOT_RUN) {
    expect(all.filter(({ text }) => text.startsWith(begins)).length, begins).toBe(count);
  }
  for (const document of [...ELSEWHERE.keys(), ...Object.keys(SCENES)]) {
    expect(pages.map((page) => page.document)).toContain(document);
  }
});

/** Words and signs of a line; its numbers, units and paths may be others the next time. */
function shapeOf(line: string): string {
  return line
    .replace(/^[A-Z▓▒░·]{20,}$/, 'PICTURE')
    .replace(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/g, 'ID')
    .replace(/(?<!\S)\S*\/(?!\d)\S*?(?=[:\s]|$)/g, 'PATH')
    .replace(/\d[\d.]*( ?[KMGT](iB)?)?/g, '#')
    .replace(/\s+/g, ' ')
    .trim();
}

describeQuarry('documents', () => {
  const scratch = new Scratch();
  const loops: string[] = [];
  const folder = (document: string) => scratch.file(document.replace(/\W/g, '-'));

  /** A shell in the folder of a page, with `quarry` and its kin as an installation has them. */
  const inPage = (document: string, script: string) => {
    // This is the system of whoever runs the test.
    if (/quarry install(?!.*--prefix)/.test(script)) throw new Error(`not here: ${script}`);
    return shellResult(`set -euo pipefail; ${script}`, {
      cwd: folder(document),
      env: {
        PATH: `${scratch.file('bin')}:${process.env.PATH}`,
        LOOP1: loops[0] ?? '',
        LOOP2: loops[1] ?? '',
      },
    });
  };

  beforeAll(async () => {
    const bin = scratch.file('bin');
    mkdirSync(bin);
    for (const [name, program] of [
      ['quarry', QUARRY],
      ...['mkfs', 'fsck', 'mount'].map((word) => [`${word}.quarry`, join(ROOT, `dist/cli/${word}-alias.js`)]),
    ]) {
      writeFileSync(join(bin, `${name}`), `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
      chmodSync(join(bin, `${name}`), 0o755);
    }
    // A stream is packed by whatever there is.
    if ((await shellResult('command -v zstd')).status !== 0)
      symlinkSync((await shell('command -v gzip')).trim(), join(bin, 'zstd'));
    for (const name of ['one', 'two']) {
      const file = scratch.file(`${name}.disk`);
      loops.push(
        (await shell(`truncate -s 64M '${file}' && losetup --find --show --direct-io=on '${file}'`)).trim(),
      );
    }
  });
  afterAll(async () => {
    for (const document of Object.keys(SCENES)) {
      const mount = join(folder(document), 'mnt');
      if (!isMountPoint(mount)) continue;
      const ended = await quarry('umount', mount).catch(() => undefined);
      if (ended?.status !== 0) await shellResult(`umount --lazy '${mount}'`);
    }
    for (const loop of loops) await shellResult(`losetup --detach '${loop}'`);
    await scratch.remove();
  });

  describe.each(Object.entries(SCENES))('%s', (document, scene) => {
    beforeAll(async () => {
      mkdirSync(folder(document), { recursive: true });
      const { status, stderr } = await inPage(document, scene.prepare ?? ':');
      expect([status, stderr]).toEqual([0, '']);
    });

    const here = (command: string) => {
      let text = scene.soon?.(command) ?? command;
      for (const [from, to] of scene.places ?? []) text = text.replaceAll(from, to);
      return text;
    };

    const commands = commandsOn(document).filter(({ text }) => !reasonNotToRun(text));
    for (const command of commands) {
      const { text } = command;
      test.skipIf(UNKNOWN.some((program) => text.startsWith(`${program} `)))(text, async () => {
        const before = scene.before?.(command);
        if (before) expect(await inPage(document, here(before))).toMatchObject({ status: 0 });
        await runs(document, here(text), command);
      });
    }
  });

  /** Runs a command, and holds against the transcript what it said. */
  async function runs(document: string, script: string, { output, isRefused }: ShownCommand): Promise<void> {
    const { status, stdout, stderr } = await inPage(document, script);
    if (isRefused) {
      expect(status, stderr + stdout).not.toBe(0);
      // It is the wish that is refused, not a word that nobody knows.
      expect(stderr).not.toMatch(/not found|Cannot find|[Uu]nknown|[Uu]sage/);
    } else expect(status, stderr + stdout).toBe(isFailure(output) ? 1 : 0);
    if (!output) return;
    const said = new Set((stdout + stderr).split('\n').map(shapeOf));
    const shown = output.filter((line) => /\w{3}/.test(line)).map(shapeOf);
    expect(shown.filter((line) => !said.has(line))).toEqual([]);
  }
});
