/** The command lines that mount(8) and fsck(8) make, as command lines of `quarry`. */

/**
 * Options of fsck(8) front ends that mean nothing here: verbose, timing, no title, interactive,
 * descriptor of a bar.
 */
const FSCK_PASSED_OVER = /^-(v|t|T|r|c|C\d*|M|P|R|s|V)$/;

/**
 * What fsck(8) gives to `fsck.quarry`: `-a`, `-p`, `-y`, `-n`, `-f`, `-C[fd]`, … and the target.
 */
export function fsckWords(args: readonly string[]): string[] {
  const words: string[] = ['fsck'];
  for (const word of args) {
    if (/^-C\d*$/.test(word)) words.push('--progress');
    else if (!FSCK_PASSED_OVER.test(word)) words.push(word);
  }
  return words;
}

/**
 * What a letter of `mount.quarry` means to `quarry mount`; -n (no mtab) and -v (verbose) mean
 * nothing.
 */
const MOUNT_LETTERS: Readonly<Record<string, readonly string[]>> = {
  s: ['--sloppy'],
  f: ['--fake'],
  r: ['--read-only'],
  w: [],
  n: [],
  v: [],
};
/** Options with a value that say nothing new: type and mount namespace. */
const MOUNT_VALUES_PASSED_OVER = new Set(['-t', '-N']);

/**
 * What mount(8) gives to `mount.quarry`: source, directory, `[-sfnv] [-N namespace] [-o options]
 * [-t type.subtype]`.
 */
export function mountWords(args: readonly string[]): string[] {
  const words: string[] = ['mount'];
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? '';
    if (MOUNT_VALUES_PASSED_OVER.has(word)) at++;
    else if (word === '-o') words.push('-o', args[++at] ?? '');
    else if (/^-[sfrwnv]+$/.test(word))
      words.push(...[...word.slice(1)].flatMap((letter) => MOUNT_LETTERS[letter] ?? []));
    else words.push(word);
  }
  return words;
}

/**
 * What `quarry` itself is called with. No command is an absolute path; `mount.fuse` calls the
 * program of a type, as in `mount -t fuse.quarry` and remounts of one, with source, directory and
 * `-o`.
 */
export function programWords(args: readonly string[]): string[] {
  const [source = '', directory = ''] = args;
  return source.startsWith('/') && directory.startsWith('/') ? mountWords(args) : [...args];
}

/**
 * What a letter of `umount.fuse.quarry` means; -n, -v and -r (read-only if busy, which umount(8)
 * does by itself) mean nothing.
 */
const UMOUNT_LETTERS: Readonly<Record<string, readonly string[]>> = { l: ['--lazy'], f: ['--force'] };

/**
 * What umount(8) gives to `umount.fuse.quarry`: directory, `[-flnrv] [-N namespace] [-t
 * type.subtype]`.
 */
export function umountWords(args: readonly string[]): string[] {
  const words: string[] = ['umount'];
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? '';
    if (MOUNT_VALUES_PASSED_OVER.has(word)) at++;
    else if (/^-[flnrv]+$/.test(word))
      words.push(...[...word.slice(1)].flatMap((letter) => UMOUNT_LETTERS[letter] ?? []));
    else words.push(word);
  }
  return words;
}

/** Statuses of mount(8): 1 for a wrong call, 32 for a mount that failed. */
export function mountStatus(status: number): number {
  if (status === 0) return 0;
  return status === 2 ? 1 : 32;
}
