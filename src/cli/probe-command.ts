/**
 * `quarry probe`: what udev asks of a block device. Lines of `KEY=value` as its builtin `blkid` has
 * them, for a program that udev imports.
 */
import { argumentAt, type CommandDefinition, type OptionValues, type Terminal } from './command.ts';
import { inspectTarget } from './target.ts';
import { readVolumeHead } from './volume-head.ts';

/** What udev lets stand in the name of a link besides letters and digits. */
const PLAIN = /[\w#+\-.:=@/]/;
/** Beyond ASCII only what is printed, and no space. */
const PRINTED = /[^\p{C}\p{Z}]/u;

/** As udev does it: anything that has no place in a name of a file as `\x20`. */
export function encodedForUdev(text: string): string {
  return Array.from(text, (letter) => {
    const stays =
      letter.length === 1 && letter < '\x7f' ? PLAIN.test(letter) && letter !== '/' : PRINTED.test(letter);
    if (stays) return letter;
    return Array.from(Buffer.from(letter), (byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
  }).join('');
}

/** Without what would break a line or hide in one. */
function safe(text: string): string {
  return Array.from(text, (letter) =>
    (letter < '\x7f' ? PLAIN.test(letter) : PRINTED.test(letter)) ? letter : '_',
  ).join('');
}

/** The properties of a volume, by their names in udev's database. */
export function udevProperties(label: string, uuid: string, version: number): Record<string, string> {
  // No link may lead out of its folder by its name.
  const isName = !/^\.{0,2}$/.test(label);
  const names = isName ? { ID_FS_LABEL: safe(label), ID_FS_LABEL_ENC: encodedForUdev(label) } : {};
  return {
    ID_FS_TYPE: 'quarry',
    ID_FS_USAGE: 'filesystem',
    ID_FS_VERSION: String(version),
    ID_FS_UUID: uuid,
    ID_FS_UUID_ENC: uuid,
    ...names,
  };
}

async function run(args: readonly string[], _: OptionValues, terminal: Terminal): Promise<number> {
  const { label, uuid, formatVersion } = readVolumeHead(inspectTarget(argumentAt(args, 0)));
  const properties = Object.entries(udevProperties(label, uuid, formatVersion));
  terminal.out(properties.map(([key, value]) => `${key}=${value}\n`).join(''));
  return 0;
}

export const probeCommand: CommandDefinition = {
  name: 'probe',
  summary: 'say what a device holds, in the words of udev',
  arguments: [{ name: 'target', text: 'block device or image file' }],
  options: [],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
