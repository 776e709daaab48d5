/**
 * `quarry lab`: the laboratory of allocators, a command with commands of its own. Each of them is
 * loaded when it is named.
 */
import type { CommandGroup } from './command.ts';

export const labCommand: CommandGroup = {
  name: 'lab',
  summary: 'write allocators of your own, try them, and compare them',
  commands: new Map([
    ['new', async () => (await import('./lab-new-command.ts')).labNewCommand],
    ['verify', async () => (await import('./lab-verify-command.ts')).labVerifyCommand],
    ['run', async () => (await import('./lab-run-command.ts')).labRunCommand],
    ['report', async () => (await import('./lab-report-command.ts')).labReportCommand],
    ['show', async () => (await import('./lab-show-command.ts')).labShowCommand],
  ]),
};
