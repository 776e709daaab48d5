/** `quarry list`: the mounts of Quarry that this process sees, and how they are. */
import { printable, printableJson } from '../common/printable.ts';
import { type MountRecord, mountTable } from '../fuse/mount-table.ts';
import { askMount, NoAnswerError } from './ask-mount.ts';
import {
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  type Terminal,
} from './command.ts';
import { formatSize } from './sizes.ts';
import { widest } from './table-text.ts';

/** All are asked at once, and one that is silent keeps nobody waiting for long. */
const LIMIT_MS = 2000;
const OUR_TYPE = /^fuse(blk)?\.quarry$/;

export interface ListedMount {
  readonly target: string;
  readonly directory: string;
  readonly label: string | undefined;
  readonly pid: number | undefined;
  readonly sizeBytes: number | undefined;
  readonly freeBytes: number | undefined;
  /** `rw`, `ro`, or why it cannot be used. */
  readonly state: string;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function product(left: unknown, right: unknown): number | undefined {
  const [one, other] = [numberOf(left), numberOf(right)];
  return one === undefined || other === undefined ? undefined : one * other;
}

/** A server may say anything of itself: each word of it is looked at. */
function listed(mount: MountRecord, answer: unknown): ListedMount {
  const { label, pid, failure, space }: Record<string, unknown> = Object(answer);
  const { blockBytes, blocks, freeBlocks }: Record<string, unknown> = Object(space);
  const failed = textOf(failure);
  return {
    target: mount.source,
    directory: mount.directory,
    label: textOf(label),
    pid: numberOf(pid),
    sizeBytes: product(blockBytes, blocks),
    freeBytes: product(blockBytes, freeBlocks),
    state: failed === undefined ? (mount.flags.split(',')[0] ?? '') : `takes no changes: ${failed}`,
  };
}

async function lookAt(mount: MountRecord): Promise<ListedMount> {
  try {
    return listed(mount, await askMount(mount, 'stat', { limitMs: LIMIT_MS }));
  } catch (thrown) {
    if (!(thrown instanceof NoAnswerError)) throw thrown;
    const states = {
      dead: 'its daemon is gone',
      silent: 'its daemon does not answer',
      foreign: '',
      refused: '',
    };
    const state = states[thrown.reason];
    return state === '' ? listed(mount, {}) : { ...listed(mount, {}), state };
  }
}

/** A row for each, its columns below each other. */
export function listText(mounts: readonly ListedMount[]): string {
  const size = (bytes: number | undefined) => (bytes === undefined ? '' : formatSize(bytes));
  const rows = mounts.map((mount) => {
    const { target, directory, label = '', pid = '', state } = mount;
    const texts = [
      target,
      directory,
      label,
      String(pid),
      size(mount.sizeBytes),
      size(mount.freeBytes),
      state,
    ];
    return texts.map((text) => printable(text));
  });
  const table = [['TARGET', 'MOUNTED ON', 'LABEL', 'PID', 'SIZE', 'FREE', 'STATE'], ...rows];
  const widths = (table[0] ?? []).map((_, column) => widest(table, column));
  const lines = table.map((row) => row.map((text, column) => text.padEnd(widths[column] ?? 0)).join('  '));
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
}

async function run(_: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  // A bind mount is the same once more, of all or of a part.
  const seen = new Map<string, MountRecord>();
  for (const mount of mountTable())
    if (OUR_TYPE.test(mount.type) && mount.root === '/' && !seen.has(mount.deviceNumbers))
      seen.set(mount.deviceNumbers, mount);
  const mounts = [...seen.values()];
  const found = await Promise.all(mounts.map(lookAt));
  if (optionGiven(options, 'json')) terminal.out(`${printableJson(found)}\n`);
  else if (found.length > 0) terminal.out(listText(found));
  return 0;
}

export const listCommand: CommandDefinition = {
  name: 'list',
  summary: 'list the mounts of Quarry, with their daemons',
  arguments: [],
  options: [JSON_OPTION],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
