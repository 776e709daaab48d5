/**
 * What a Linux system has to have in its places so that volumes are at home there: programs that
 * mount(8), umount(8), fsck(8) and mkfs(8) call, by the types that /proc/mounts shows; manual
 * pages; completions; what udev and file(1) recognise a volume by; a unit of systemd.
 */
import { BlockHeader, Superblock } from '../fs/format/format.ts';
import type { CommandLine } from './command-words.ts';
import { bashCompletion, fishCompletion, zshCompletion } from './completions.ts';
import { manPages } from './man-pages.ts';

export interface SystemFile {
  /** Absolute. */
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  readonly text: string;
}

/** Where the program is. */
export interface Program {
  /** Absolute path of Node. */
  readonly node: string;
  /** Absolute path of the folder that has `main.js`. */
  readonly folder: string;
}

/** The start of every volume, as text. */
const MAGIC = 'QUARRY';
const PROGRAM_MODE = 0o755;
const FILE_MODE = 0o644;
const FISH_VENDOR = 'fish/vendor_completions.d';

/** Programs of the system by name, and what of `dist/cli` each is. */
const HELPERS: Readonly<Record<string, string>> = {
  'mkfs.quarry': 'mkfs-alias.js',
  'fsck.quarry': 'fsck-alias.js',
  'fsck.fuse.quarry': 'fsck-alias.js',
  'fsck.fuseblk.quarry': 'fsck-alias.js',
  'mount.quarry': 'mount-alias.js',
  'mount.fuse.quarry': 'mount-alias.js',
  'mount.fuseblk.quarry': 'mount-alias.js',
  'umount.quarry': 'umount-alias.js',
  'umount.fuse.quarry': 'umount-alias.js',
  'umount.fuseblk.quarry': 'umount-alias.js',
};

/** The folders of a prefix: `/usr` is a distribution's, `/usr/local` the administrator's. */
interface Folders {
  readonly bin: string;
  readonly sbin: string;
  readonly share: string;
  readonly zsh: string;
  readonly fish: string;
  readonly udev: string;
  readonly systemd: string;
}

export function foldersOf(prefix: string): Folders {
  const share = `${prefix}/share`;
  if (prefix === '/usr') {
    const lib = { udev: '/usr/lib/udev/rules.d', systemd: '/usr/lib/systemd/system' };
    const zsh = `${share}/zsh/vendor-completions`;
    return { bin: '/usr/bin', sbin: '/usr/sbin', share, zsh, fish: `${share}/${FISH_VENDOR}`, ...lib };
  }
  const own = prefix !== '/usr/local';
  const etc = own ? `${prefix}/etc` : '/etc';
  return {
    bin: `${prefix}/bin`,
    // The only place in which mount(8) looks.
    sbin: own ? `${prefix}/sbin` : '/sbin',
    share,
    zsh: `${share}/zsh/site-functions`,
    // Of /usr/local fish knows nothing, unless a desktop tells it.
    fish: own ? `${share}/${FISH_VENDOR}` : '/etc/fish/completions',
    udev: `${etc}/udev/rules.d`,
    systemd: `${etc}/systemd/system`,
  };
}

function quoted(text: string): string {
  return `'${text.replace(/'/g, `'\\''`)}'`;
}

/** A program that starts a file of ours, whatever PATH is. */
function wrapper({ node, folder }: Program, file: string): string {
  return `#!/bin/sh
# Made by 'quarry install'; 'quarry install --uninstall' takes it away.
exec ${quoted(node)} ${quoted(`${folder}/${file}`)} "$@"
`;
}

/**
 * Asked for every block device that nobody knows: Node is started only where the first bytes are a
 * volume's.
 */
function probeProgram(program: Program): string {
  return `#!/bin/sh
# Made by 'quarry install': what a block device holds, for udev.
[ "$(head -c ${MAGIC.length} "$1" 2>/dev/null | tr -d '\\0')" = ${MAGIC} ] || exit 1
exec ${quoted(program.node)} ${quoted(`${program.folder}/main.js`)} probe "$1"
`;
}

function udevRules(probe: string): string {
  return `# Made by 'quarry install': libblkid does not know volumes of Quarry.
ACTION=="remove", GOTO="quarry_end"
SUBSYSTEM!="block", GOTO="quarry_end"
ENV{ID_FS_TYPE}=="?*", GOTO="quarry_end"
ENV{ID_PART_TABLE_TYPE}=="?*", GOTO="quarry_end"
# What must not be opened, or would make whoever reads it wait.
ENV{UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG}=="1", GOTO="quarry_end"
ENV{DM_UDEV_DISABLE_OTHER_RULES_FLAG}=="1", GOTO="quarry_end"
ENV{DM_SUSPENDED}=="1", GOTO="quarry_end"
ENV{SYSTEMD_READY}=="0", GOTO="quarry_end"
KERNEL=="fd*|mtd*|sr*|nbd*|zram*|ram*|mmcblk[0-9]*boot[0-9]", GOTO="quarry_end"

IMPORT{program}=="${probe} $devnode"
ENV{ID_FS_TYPE}!="quarry", GOTO="quarry_end"
ENV{ID_FS_UUID_ENC}=="?*", SYMLINK+="disk/by-uuid/$env{ID_FS_UUID_ENC}"
ENV{ID_FS_LABEL_ENC}=="?*", SYMLINK+="disk/by-label/$env{ID_FS_LABEL_ENC}"

LABEL="quarry_end"
`;
}

/** An id as it is written, in groups, below a test of so many levels. */
function idLines(level: string, offset: number): string {
  const word = (at: number, type: string, format: string) =>
    `${level}${offset + at}	${type}	x	\\b${format}`;
  return [
    word(0, 'ubelong', ', id %08x'),
    ...[4, 6, 8].map((at) => word(at, 'ubeshort', '-%04x')),
    word(10, 'ubelong', '-%08x'),
    word(14, 'ubeshort', '%04x'),
  ].join('\n');
}

/**
 * Lines of magic(5) for file(1), of fields as docs/FORMAT.md has them. The id is the one that the
 * volume shows: that of mkfs where the field of `quarry tune` is zeros. A label that fills its
 * field has no end there: of what is behind it nothing is shown.
 */
function magicLines(): string {
  const { formatVersion, blockBytes, blockCount, label, shownUuid } = Superblock;
  const shown = shownUuid.offset;
  return `# Quarry volume: the first block of one, format version 3 and later
0	string	${MAGIC}
>6	uleshort	1	Quarry filesystem
!:mime	application/x-quarry-volume
>>${formatVersion.offset}	ulelong	x	version %u
>>${blockCount.offset}	ulequad	x	\\b, %llu blocks
>>${blockBytes.offset}	ulelong	x	of %u bytes
>>${label.offset}	regex/${label.lengthBytes + 1}	.{1,${label.lengthBytes}}	\\b, label "%s"
>>${shown}	ubequad	!0
${idLines('>>>', shown)}
>>${shown}	ubequad	0
>>>${shown + 8}	ubequad	!0
${idLines('>>>>', shown)}
>>>${shown + 8}	ubequad	0
${idLines('>>>>', BlockHeader.uuid.offset)}
`;
}

/**
 * For what fstab has no words: a volume named by a file of its own.
 *
 * The first signal leaves a mount alone that is in use, and a stop would wait for a second one: so
 * such a mount is detached, and the daemon ends with its last user. A slow disk gets the time
 * twice, for the command and for the daemon: together less than the 30 minutes after which systemd
 * turns the machine off whatever still stops. Where the daemon is gone, by umount(8) too, there is
 * nothing to stop.
 */
function systemdUnit(bin: string): string {
  return `# Made by 'quarry install'. quarry@NAME mounts what /etc/quarry/NAME.conf says:
#   TARGET=/dev/disk/by-label/data
#   DIRECTORY=/srv/data
#   OPTIONS=noatime
[Unit]
Description=Quarry volume %i
Documentation=man:quarry(8)
After=local-fs-pre.target
Conflicts=umount.target
Before=umount.target

[Service]
Type=notify
NotifyAccess=all
Environment=OPTIONS=rw
EnvironmentFile=/etc/quarry/%i.conf
ExecStart=${bin}/quarry mount --foreground -o \${OPTIONS} \${TARGET} \${DIRECTORY}
ExecStop=/bin/sh -c 'test -z "$$MAINPID" || ${bin}/quarry umount "$$DIRECTORY" || ${bin}/quarry umount -l "$$DIRECTORY"'
ExecStopPost=-${bin}/quarry umount --dead \${DIRECTORY}
KillMode=mixed
TimeoutStopSec=10min
Restart=no

[Install]
WantedBy=multi-user.target
`;
}

/** Every file of an installation, for a prefix without a slash at its end. */
export function systemFiles(prefix: string, program: Program, line: CommandLine): SystemFile[] {
  const { bin, sbin, share, zsh, fish, udev, systemd } = foldersOf(prefix);
  const run = (path: string, text: string) => ({ path, mode: PROGRAM_MODE, text });
  const read = (path: string, text: string) => ({ path, mode: FILE_MODE, text });
  const probe = `${sbin}/quarry-probe`;
  return [
    run(`${bin}/quarry`, wrapper(program, 'main.js')),
    ...Object.entries(HELPERS).map(([name, file]) => run(`${sbin}/${name}`, wrapper(program, file))),
    run(probe, probeProgram(program)),
    ...manPages(line).map(({ file, text }) => read(`${share}/man/man8/${file}`, text)),
    read(`${share}/bash-completion/completions/quarry`, bashCompletion(line)),
    read(`${zsh}/_quarry`, zshCompletion(line)),
    read(`${fish}/quarry.fish`, fishCompletion(line)),
    read(`${share}/quarryfs/magic`, magicLines()),
    read(`${udev}/61-quarry.rules`, udevRules(probe)),
    read(`${systemd}/quarry@.service`, systemdUnit(bin)),
  ];
}
