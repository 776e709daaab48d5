/** `quarry lab report`: makes the report of results anew; nothing is run for it. */
import { writeReport } from '../lab/report/write-report.ts';
import { argumentAt, type CommandDefinition, type Terminal } from './command.ts';
import { CommandError, targetError } from './failure.ts';

/** What to do to get what is missing. @param missing names of packages */
export function missingLine(missing: readonly string[], directory: string): string {
  return `${missing.length > 1 ? 'the report needs' : 'pictures in PNG need'} ${missing.join(' and ')}: run 'npm install ${missing.join(' ')}', then 'quarry lab report ${directory}'`;
}

async function run(args: readonly string[], _options: unknown, terminal: Terminal): Promise<number> {
  const directory = argumentAt(args, 0);
  const missing = await writeReport(directory).catch((thrown: unknown) => {
    throw targetError(thrown, directory);
  });
  if (missing.length > 0) throw new CommandError(missingLine(missing, directory));
  terminal.out(`${directory}/report.html and ${directory}/figures are made\n`);
  return 0;
}

export const labReportCommand: CommandDefinition = {
  name: 'report',
  summary: 'make the report of results anew',
  arguments: [{ name: 'directory', text: 'what lab run was given as --out' }],
  options: [],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
