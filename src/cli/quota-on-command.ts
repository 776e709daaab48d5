/** `quarry quota on` and `off`: whether usage is counted, of a volume that is not mounted. */
import { printable } from '../common/printable.ts';
import { QuotaKind } from '../fs/format/format.ts';
import type { AccountKind } from './account-names.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  printJson,
  say,
  type Terminal,
} from './command.ts';
import { QUOTA_KIND_NAMES } from './quota-questions.ts';
import { unmountedTarget, withVolume } from './quota-target.ts';

const KINDS = { user: QuotaKind.user, group: QuotaKind.group, project: QuotaKind.project } as const;

const TARGET = { name: 'target', text: 'block device or image file, not mounted' } as const;

/** Those that were named, or all. */
export function chosenKinds(options: OptionValues): readonly AccountKind[] {
  const chosen = QUOTA_KIND_NAMES.filter((kind) => optionGiven(options, kind));
  return chosen.length === 0 ? QUOTA_KIND_NAMES : chosen;
}

async function turnOn(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  const name = argumentAt(args, 0);
  const kinds = chosenKinds(options);
  const target = await unmountedTarget(name);
  let inodes = 0;
  await withVolume(target, true, (volume) =>
    volume.quotas.turnOn(
      kinds.map((kind) => KINDS[kind]),
      (done) => {
        inodes = done;
      },
    ),
  );
  if (optionGiven(options, 'json')) printJson(terminal, { target: name, counted: kinds, inodes });
  else
    say(
      terminal,
      `${printable(name)} counts what ${kinds.map((kind) => `${kind}s`).join(', ')} have: ${inodes} inodes so far`,
    );
  return 0;
}

export const quotaOnCommand: CommandDefinition = {
  name: 'on',
  summary: 'count what there is, and count on from then on',
  arguments: [TARGET],
  options: [
    { flags: '--user', text: 'of users; without any of the three: of all' },
    { flags: '--group', text: 'of groups' },
    { flags: '--project', text: 'of projects' },
    JSON_OPTION,
  ],
  notes:
    'Kinds that are not named are not counted any more; limits that were set before are kept.\n' +
    "A new volume counts from the start with 'quarry mkfs -O quota'.",
  usageStatus: 2,
  failureStatus: 1,
  run: turnOn,
};

async function turnOff(args: readonly string[], _options: OptionValues, terminal: Terminal): Promise<number> {
  const name = argumentAt(args, 0);
  const target = await unmountedTarget(name);
  await withVolume(target, true, (volume) => volume.quotas.turnOff());
  say(terminal, `${printable(name)} counts nothing any more, and has no limits`);
  return 0;
}

export const quotaOffCommand: CommandDefinition = {
  name: 'off',
  summary: 'count no more; all limits go',
  arguments: [TARGET],
  options: [],
  usageStatus: 2,
  failureStatus: 1,
  run: turnOff,
};
