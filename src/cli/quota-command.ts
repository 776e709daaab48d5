/**
 * `quarry quota`: what users, groups and projects have, and may have. Each of its commands is
 * loaded when it is named.
 */
import type { CommandGroup } from './command.ts';

export const quotaCommand: CommandGroup = {
  name: 'quota',
  summary: 'count what users, groups and projects have, and limit it',
  commands: new Map([
    ['report', async () => (await import('./quota-report-command.ts')).quotaReportCommand],
    ['set', async () => (await import('./quota-set-command.ts')).quotaSetCommand],
    ['grace', async () => (await import('./quota-set-command.ts')).quotaGraceCommand],
    ['on', async () => (await import('./quota-on-command.ts')).quotaOnCommand],
    ['off', async () => (await import('./quota-on-command.ts')).quotaOffCommand],
  ]),
};
