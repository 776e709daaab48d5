/**
 * `quarry install`: what a Linux system needs in its places so that `mount -a`, `mkfs -t quarry`,
 * `fsck -A`, `man`, completions, udev, file(1) and systemd know volumes of Quarry; and
 * `--uninstall`, which takes just that away.
 */
import { lstatSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packageVersion } from '../common/package-version.ts';
import { isRoot } from '../common/permissions.ts';
import { printable } from '../common/printable.ts';
import { codeOf } from '../common/thrown.ts';
import { plural } from '../common/words.ts';
import type { CommandFamily, CommandWords } from '../install/command-words.ts';
import {
  InstallationError,
  installedFiles,
  putInPlace,
  requireFree,
  takeAway,
} from '../install/installation.ts';
import { type SystemFile, systemFiles } from '../install/system-files.ts';
import {
  type CommandDefinition,
  type OptionValues,
  optionGiven,
  optionText,
  type Terminal,
} from './command.ts';
import { CommandError, UsageError } from './failure.ts';
import { allCommands } from './program.ts';
import { programPath } from './program-path.ts';

const DEFAULT_PREFIX = '/usr/local';

interface Place {
  readonly prefix: string;
  /** In which a package is put together; '/' for the system itself. */
  readonly root: string;
}

/** @throws UsageError for what is no absolute path */
function placeOf(options: OptionValues): Place {
  const folder = (name: string, text: string) => {
    if (!text.startsWith('/')) throw new UsageError(`--${name} ${text} is not an absolute path`);
    // In rules of udev and units of systemd these mean something, or end a word.
    if (name === 'prefix' && !/^[\w./+~@-]*$/.test(text))
      throw new UsageError(`--prefix ${printable(text)}: only letters, digits and ./+~@-_ may be in it`);
    return text.replace(/\/+$/, '');
  };
  return {
    prefix: folder('prefix', optionText(options, 'prefix') ?? DEFAULT_PREFIX),
    root: folder('root', optionText(options, 'root') ?? '/') || '/',
  };
}

/** Names and texts of all commands, for man pages and completions. */
async function commandWords(): Promise<(CommandWords | CommandFamily)[]> {
  const commands = await allCommands();
  return await Promise.all(
    commands.map(async (command) => {
      if (!('commands' in command)) return command;
      const { name, summary, commands: members } = command;
      return { name, summary, members: await Promise.all(Array.from(members.values(), (load) => load())) };
    }),
  );
}

/** What `npm link` has put in a place leads here already, and stays. */
function withoutLinkToUs(root: string, files: readonly SystemFile[]): SystemFile[] {
  return files.filter(({ path }) => {
    const place = join(root, path);
    const isLink = lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink() === true;
    return !isLink || !leadsTo(place, realpathSync(programPath()));
  });
}

function leadsTo(link: string, program: string): boolean {
  try {
    return realpathSync(link) === program;
  } catch {
    return false;
  }
}

async function filesFor(prefix: string, options: OptionValues): Promise<SystemFile[]> {
  const folder = optionText(options, 'program') ?? dirname(realpathSync(programPath()));
  const node = optionText(options, 'node') ?? realpathSync(process.execPath);
  return systemFiles(prefix, { node, folder }, { version: packageVersion(), commands: await commandWords() });
}

/** Whether nobody but root may change what is at a path, or put something else there. */
function isRoots(path: string): boolean {
  for (let at = path; ; at = dirname(at)) {
    const { uid, mode } = lstatSync(at);
    const isSticky = (mode & 0o1000) !== 0;
    if (uid !== 0 || ((mode & 0o022) !== 0 && !isSticky)) return false;
    if (at === '/') return true;
  }
}

/** What root runs at boot, and at each new device, must not be another user's to change. */
function requireRoots(place: Place, options: OptionValues): void {
  const isOfSystem = place.root === '/' && /^\/usr(\/local)?$/.test(place.prefix);
  if (!isOfSystem || !isRoot() || optionGiven(options, 'force')) return;
  const paths = [dirname(realpathSync(programPath())), realpathSync(process.execPath)];
  const loose = paths.find((path) => !isRoots(path));
  if (loose !== undefined)
    throw new CommandError(
      `${printable(loose)} can be changed by others than root, who would run it: install the package, or --force`,
    );
}

function asCommandError(thrown: unknown): unknown {
  if (thrown instanceof InstallationError) return new CommandError(thrown.message, { cause: thrown });
  if (codeOf(thrown) !== 'EACCES' && codeOf(thrown) !== 'EPERM') return thrown;
  const { path = 'a folder' } = Object(thrown) as { path?: string };
  return new CommandError(`no permission for ${printable(path)}: run as root, or with --prefix ~/.local`);
}

async function run(_: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const { prefix, root } = placeOf(options);
  const dryRun = optionGiven(options, 'dryRun');
  try {
    if (optionGiven(options, 'uninstall')) {
      if (dryRun) for (const path of installedFiles(root, prefix)) terminal.out(`remove ${path}\n`);
      else terminal.out(`${plural(takeAway(root, prefix), 'file')} taken away\n`);
      return 0;
    }
    requireRoots({ prefix, root }, options);
    const files = withoutLinkToUs(root, await filesFor(prefix, options));
    if (dryRun) {
      requireFree(root, prefix, files);
      for (const { path, mode } of files) terminal.out(`${mode.toString(8)} ${path}\n`);
      return 0;
    }
    putInPlace(root, prefix, files);
    terminal.out(`${plural(files.length, 'file')} in place; 'quarry install --uninstall' takes them away\n`);
    return 0;
  } catch (thrown) {
    throw asCommandError(thrown);
  }
}

export const installCommand: CommandDefinition = {
  name: 'install',
  summary: 'make volumes at home on this system: mount -a, fsck -A, man pages, udev, completions',
  arguments: [],
  options: [
    { flags: '--uninstall', text: 'take away what was installed' },
    { flags: '--prefix <folder>', text: `/usr, or a folder of your own (${DEFAULT_PREFIX})` },
    { flags: '--force', text: 'also where the program, or Node, is in a folder that others may change' },
    { flags: '--dry-run', text: 'only say which files that would be' },
    { flags: '--root <folder>', text: 'put it together in this folder, for a package', hidden: true },
    { flags: '--program <folder>', text: 'where main.js will be', hidden: true },
    { flags: '--node <file>', text: 'where Node will be', hidden: true },
  ],
  notes: `Programs for mount(8), umount(8), fsck(8) and mkfs(8) go to /sbin, where these look, also with the default
prefix; with a prefix of your own everything is below it. After that:
  systemctl daemon-reload; udevadm control --reload; udevadm trigger --subsystem-match=block
makes them known. What file(1) needs is in share/quarryfs/magic: add it to /etc/magic, or use file -m.
The files name Node and this program by their present places: install again when one of them moves.`,
  usageStatus: 2,
  failureStatus: 1,
  run,
};
