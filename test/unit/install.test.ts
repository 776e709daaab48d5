/** What `quarry install` puts into a system: its texts, and how it comes and goes. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodedForUdev, udevProperties } from '../../src/cli/probe-command.ts';
import { COMMAND_NAMES, runCommandLine } from '../../src/cli/program.ts';
import { isMissing } from '../missing.ts';

let root: string;
let said: { out: string; err: string };

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'quarry-install-'));
  said = { out: '', err: '' };
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function quarry(...words: string[]): Promise<number> {
  const terminal = {
    out: (text: string) => {
      said.out += text;
    },
    err: (text: string) => {
      said.err += text;
    },
    interactive: false,
  };
  return runCommandLine(words, terminal);
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
    .sort();
}

describe('files', () => {
  test('come as --dry-run says, and go without a rest', async () => {
    expect(await quarry('install', '--root', root, '--dry-run')).toBe(0);
    expect(filesUnder(root)).toEqual([]);
    const announced = said.out
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[1]);
    expect(await quarry('install', '--root', root)).toBe(0);
    const list = '/usr/local/share/quarryfs/installed';
    expect(filesUnder(root)).toEqual([...announced, list].sort());
    expect(announced).toContain('/sbin/mount.fuse.quarry');
    expect(announced).toContain('/usr/local/share/man/man8/quarry-lab-run.8');
    expect(await quarry('install', '--root', root, '--uninstall')).toBe(0);
    expect(filesUnder(root)).toEqual([]);
  });

  test('of others are not written over, and then nothing is', async () => {
    mkdirSync(join(root, 'sbin'));
    writeFileSync(join(root, 'sbin/mount.quarry'), 'mine');
    expect(await quarry('install', '--root', root)).toBe(1);
    expect(said.err).toMatch(/^quarry: .*sbin\/mount\.quarry is there already/);
    expect(filesUnder(root)).toEqual(['/sbin/mount.quarry']);
    expect(await quarry('install', '--root', root, '--uninstall')).toBe(1);
    expect(readFileSync(join(root, 'sbin/mount.quarry'), 'utf8')).toBe('mine');
  });

  test('of an earlier version go when they are not among the new ones', async () => {
    await quarry('install', '--root', root);
    const list = join(root, 'usr/local/share/quarryfs/installed');
    writeFileSync(list, `${readFileSync(list, 'utf8')}/sbin/old.quarry\n`);
    writeFileSync(join(root, 'sbin/old.quarry'), '');
    expect(await quarry('install', '--root', root)).toBe(0);
    expect(existsSync(join(root, 'sbin/old.quarry'))).toBe(false);
    expect(existsSync(join(root, 'sbin/mount.quarry'))).toBe(true);
  });

  test('of a distribution lie in /usr', async () => {
    await quarry(
      'install',
      '--root',
      root,
      '--prefix',
      '/usr/',
      '--node',
      '/usr/bin/node',
      '--program',
      '/usr/lib/q',
    );
    expect(filesUnder(root).every((path) => path.startsWith('/usr/'))).toBe(true);
    const text = readFileSync(join(root, 'usr/sbin/fsck.quarry'), 'utf8');
    expect(text).toContain("exec '/usr/bin/node' '/usr/lib/q/fsck-alias.js' \"$@\"");
  });

  test('can be read by everybody, whatever the umask, and a link of npm to us stays', async () => {
    const umask = process.umask(0o077);
    try {
      mkdirSync(join(root, 'usr/local/bin'), { recursive: true });
      symlinkSync(join(import.meta.dirname, '../../src/cli/main.ts'), join(root, 'usr/local/bin/quarry'));
      expect(await quarry('install', '--root', root)).toBe(0);
    } finally {
      process.umask(umask);
    }
    expect(statSync(join(root, 'etc/udev/rules.d')).mode & 0o777).toBe(0o755);
    expect(statSync(join(root, 'usr/local/share/man/man8')).mode & 0o777).toBe(0o755);
    expect(lstatSync(join(root, 'usr/local/bin/quarry')).isSymbolicLink()).toBe(true);
    expect(await quarry('install', '--root', root, '--uninstall')).toBe(0);
    expect(lstatSync(join(root, 'usr/local/bin/quarry')).isSymbolicLink()).toBe(true);
  });

  test.each(["/opt/it's", '/opt/a b', '/opt/%h'])('the prefix %s is refused', async (prefix) => {
    expect(await quarry('install', '--prefix', prefix)).toBe(2);
    expect(said.err).toMatch(/^quarry: --prefix .*\n$/);
  });

  test('a prefix has to be a path from the root', async () => {
    expect(await quarry('install', '--prefix', 'here')).toBe(2);
    expect(said.err).toBe('quarry: --prefix here is not an absolute path\n');
  });
});

describe('texts', () => {
  const read = (path: string) => readFileSync(join(root, 'usr/local', path), 'utf8');
  beforeEach(() => quarry('install', '--root', root));

  test.skipIf(isMissing('file'))(
    'magic(5) lines show label and id as the volume shows them, and nothing of what is behind',
    async () => {
      const image = join(root, 'v.img');
      const id = '00000000-0000-0000-0123-456789abcdef';
      const shown = (...words: string[]) =>
        execFileSync('file', ['-b', ...words, '-m', join(root, 'usr/local/share/quarryfs/magic'), image], {
          encoding: 'utf8',
        }).trim();
      const of = (rest: string) => `Quarry filesystem version 3, 2048 blocks of 4096 bytes${rest}`;
      expect(
        await quarry('mkfs', '-q', '-s', '8M', '-U', 'f1234567-89ab-4def-8123-456789abcdef', image),
      ).toBe(0);
      expect(shown()).toBe(of(', id f1234567-89ab-4def-8123-456789abcdef'));
      expect(shown('--mime-type')).toBe('application/x-quarry-volume');
      expect(await quarry('tune', '-U', id, '-L', 'L'.repeat(64), '-o', 'noatime', image)).toBe(0);
      expect(shown()).toBe(of(`, label "${'L'.repeat(64)}", id ${id}`));
      expect(await quarry('tune', '-U', 'original', '-L', 'a b', image)).toBe(0);
      expect(shown()).toBe(of(', label "a b", id f1234567-89ab-4def-8123-456789abcdef'));
    },
  );

  function complete(...words: string[]): string[] {
    const script = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _quarry; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const file = join(root, 'usr/local/share/bash-completion/completions/quarry');
    return execFileSync('bash', ['-c', script, '-', file, ...words], { encoding: 'utf8' })
      .split('\n')
      .filter(Boolean);
  }

  test('bash completes commands, their commands and options', () => {
    expect(complete('quarry', '')).toEqual(COMMAND_NAMES);
    expect(complete('quarry', 'mk')).toEqual(expect.arrayContaining(['mkfs']));
    expect(complete('quarry', 'lab', 'r')).toEqual(['run', 'report']);
    expect(complete('quarry', 'lab', 'run', '--wo')).toEqual(['--workloads']);
    expect(complete('quarry', 'mkfs', '--la')).toEqual(['--label']);
    expect(complete('quarry', 'fsck', 'x')).toEqual([]);
  });

  test('every command has a manual page, in which nothing is a request that should not be', () => {
    const pages = readdirSync(join(root, 'usr/local/share/man/man8'));
    expect(pages).toEqual(expect.arrayContaining(COMMAND_NAMES.map((name) => `quarry-${name}.8`)));
    for (const page of pages) {
      const odd = read(`share/man/man8/${page}`)
        .split('\n')
        .filter((line) => /^[.']/.test(line) && !/^\.(TH|SH|TP|nf|fi|so)\b/.test(line));
      expect(odd).toEqual([]);
    }
    expect(read('share/man/man8/quarry-mkfs.8')).toContain('\\fB\\-\\-label\\fR');
  });

  test('the unit mounts with the program that was installed', () => {
    const unit = readFileSync(join(root, 'etc/systemd/system/quarry@.service'), 'utf8');
    expect(unit).toContain('ExecStart=/usr/local/bin/quarry mount --foreground');
    expect(unit).toMatch(/^ExecStopPost=-\/usr\/local\/bin\/quarry umount --dead \$\{DIRECTORY\}$/m);
  });
});

describe('for udev', () => {
  test('labels are encoded as udev does it', () => {
    expect(encodedForUdev('my disk/1 "ü"')).toBe('my\\x20disk\\x2f1\\x20\\x22ü\\x22');
    expect(encodedForUdev('a\u200bb')).toBe('a\\xe2\\x80\\x8bb');
  });

  test('no label, no line of one; and no line breaks out of a value', () => {
    for (const label of ['', '.', '..'])
      expect(Object.keys(udevProperties(label, 'id', 3))).not.toContain('ID_FS_LABEL_ENC');
    const values = Object.values(udevProperties('a\nID_FS_TYPE=ext4 ', 'id', 3));
    expect(values.some((value) => /[\n ]/.test(value))).toBe(false);
  });
});
