// @ts-check
/** What the benchmarks have around them: signals, the end, and the file that a run is kept in. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endCommands } from './machine.mjs';

/**
 * Runs `main`, and whatever happens, undoes what was pushed.
 * @param {import('./machine.mjs').Undo} undo
 * @param {() => Promise<unknown>} main
 */
export async function framed(undo, main) {
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.once(signal, async () => {
      undo.isOver = true;
      console.error(`${signal}: cleaning up`);
      endCommands();
      await undo.run();
      process.exit(130);
    });
  }
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  } finally {
    if (!undo.isOver) await undo.run();
  }
}

const processor = () => `${cpus()[0]?.model.trim()} × ${cpus().length}`;

export function machineText() {
  return `Linux ${release()}, ${processor()}, Node ${process.versions.node}`;
}

/** @param {boolean} awake whether idle processors poll */
export function machineOf(awake) {
  const { node } = process.versions;
  return { date: new Date().toISOString(), kernel: release(), cpu: processor(), node, awake };
}

/**
 * @param {{ date: string }} report
 * @param {string} kind what the name of the file ends with
 * @returns {string} the file
 */
export function keepReport(report, kind) {
  const results = fileURLToPath(new URL('results/', import.meta.url));
  mkdirSync(results, { recursive: true });
  const file = join(results, `${report.date.replaceAll(':', '-')}${kind}.json`);
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  return file;
}
