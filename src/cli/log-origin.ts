/** The lines by which a log file tells whose the lines behind them are. */
import { printable } from '../common/printable.ts';
import type { LogOrigin } from './system-log.ts';

/** What a line of a log begins with; one without is output of a crash, or the rest of a line. */
const TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z(?= )/;
const ORIGIN = /^\d{4}-\d\d-\d\dT[\d:.]+Z \[\d+\] log of (.*)$/;

/** A line of a log, with its end. */
export function logLine(line: string): string {
  return `${new Date().toISOString()} [${process.pid}] ${line}\n`;
}

/** A line that tells whose those behind it are, without time, process and end. */
export function originLine({ target, directory }: LogOrigin): string {
  return `log of ${printable(target)} on ${printable(directory)}`;
}

/** The time that a line begins with, as ISO 8601 in UTC; undefined if it has none. */
export function timeOf(line: string): string | undefined {
  return TIME.exec(line)?.[0];
}

/** Whose the lines behind this one are, as `TARGET on DIRECTORY`; undefined if it does not tell. */
export function originOf(line: string): string | undefined {
  return ORIGIN.exec(line)?.[1];
}

/** The lines of a text, without their ends and without empty ones. */
export function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
