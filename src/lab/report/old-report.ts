/**
 * Takes a report away that is of other results: its page, and the pictures that have the names of a
 * report's. What else lies in the directory is somebody's.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const OF_THE_WHOLE = 'ranking|extent-distribution|allocation-latency|[a-z-]+-over-churn';
const OF_A_WORKLOAD = '(?:free-runs|maps|writes)-[A-Za-z0-9._-]+';
const PICTURE = new RegExp(`^(?:${OF_THE_WHOLE}|${OF_A_WORKLOAD})\\.(?:svg|png)$`);

/** @param path directory of results @throws the error of a file */
export function removeReport(path: string): void {
  rmSync(join(path, 'report.html'), { force: true });
  const pictures = join(path, 'figures');
  if (!existsSync(pictures)) return;
  for (const name of readdirSync(pictures)) if (PICTURE.test(name)) rmSync(join(pictures, name));
}
