// @ts-check
/**
 * A package for Debian and its like, of what is built here.
 *
 *   node scripts/deb.mjs [DIRECTORY]       makes quarryfs_VERSION_ARCH.deb there; default: here
 *
 * The program goes to /usr/lib/quarryfs with the modules it needs at run time, and `quarry install
 * --prefix /usr` says where everything else belongs. The addon speaks Node-API, so any Node that is
 * new enough loads it. Takes dpkg-deb and npm, and npm's cache or a network.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build, QUARRY, ROOT } from './build.mjs';

const HOME = 'usr/lib/quarryfs';
/** What of the project is in it. */
const PARTS = [
  ...['dist', 'docs', 'examples', 'package.json', 'README.md', 'CHANGELOG.md'],
  ...['src/page/page.html', 'src/page/page.css', 'src/page/icon.svg'],
];

/**
 * @param {string} command
 * @param {string[]} args
 * @param {string} [cwd]
 */
function run(command, args, cwd = ROOT) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status === 0) return stdout.trim();
  console.error(`deb: ${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
  process.exit(1);
}

/** Modules of the lock file that are needed at run time, without their scripts. @param {string} home */
function installModules(home) {
  cpSync(join(ROOT, 'package-lock.json'), join(home, 'package-lock.json'));
  const without = ['--omit=dev', '--omit=optional', '--omit=peer', '--ignore-scripts'];
  run('npm', ['ci', ...without, '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'], home);
  rmSync(join(home, 'package-lock.json'));
}

/** @param {string} version @param {string} architecture @param {number} kilobytes */
function control(version, architecture, kilobytes) {
  return `Package: quarryfs
Version: ${version}
Architecture: ${architecture}
Maintainer: Quarry developers <quarryfs@localhost>
Installed-Size: ${kilobytes}
Depends: nodejs (>= 20.19), libc6 (>= 2.34), libstdc++6, libgcc-s1
Recommends: fuse3
Suggests: udev
Section: admin
Priority: optional
Description: POSIX filesystem in user space, with pluggable block allocators
 Quarry keeps files on a block device or in an image file, by O_DIRECT and the
 asynchronous I/O of the kernel, and mounts them through FUSE. This package has
 the command, mkfs, mount and fsck helpers, a rule of udev and manual pages.
`;
}

/** Who caches what was installed is told, if he is there. */
const TELL = `#!/bin/sh
set -e
if [ -d /run/udev ]; then udevadm control --reload || true; fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
`;

if (!(await build())) process.exit(2);
const directory = resolve(process.argv[2] ?? '.');
const stage = mkdtempSync(join(tmpdir(), 'quarry-deb-'));
try {
  const root = join(stage, 'root');
  const home = join(root, HOME);
  mkdirSync(join(home, 'build/Release'), { recursive: true });
  for (const part of PARTS) cpSync(join(ROOT, part), join(home, part), { recursive: true });
  cpSync(join(ROOT, 'build/Release/quarry.node'), join(home, 'build/Release/quarry.node'));
  installModules(home);
  const places = ['--root', root, '--prefix', '/usr', '--program', `/${HOME}/dist/cli`];
  run(process.execPath, [QUARRY, 'install', ...places, '--node', '/usr/bin/node']);
  // dpkg keeps the list of files.
  rmSync(join(root, 'usr/share/quarryfs/installed'));
  mkdirSync(join(root, 'usr/share/doc/quarryfs'), { recursive: true });
  cpSync(join(ROOT, 'LICENSE'), join(root, 'usr/share/doc/quarryfs/copyright'));
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const architecture = run('dpkg', ['--print-architecture']);
  const kilobytes = Number.parseInt(run('du', ['-sk', root]), 10);
  mkdirSync(join(root, 'DEBIAN'));
  writeFileSync(join(root, 'DEBIAN/control'), control(version, architecture, kilobytes));
  for (const name of ['postinst', 'postrm']) writeFileSync(join(root, 'DEBIAN', name), TELL, { mode: 0o755 });
  const file = join(directory, `quarryfs_${version}_${architecture}.deb`);
  run('chmod', ['-R', 'u=rwX,go=rX', root]);
  run('dpkg-deb', ['--root-owner-group', '--build', root, file]);
  console.log(file);
} finally {
  rmSync(stage, { recursive: true, force: true });
}
