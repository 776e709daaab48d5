// @ts-check
/** What the benchmarks have around them: signals, the end, and the file that a run is kept in. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dropCaches, endCommands, isMountPoint, unmountByForce } from './machine.mjs';
import { missingPrograms } from './systems.mjs';

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

/**
 * A folder in memory, and in it a directory to mount on.
 * @param {import('./machine.mjs').Undo} undo
 */
export function makeFolder(undo) {
  const folder = mkdtempSync('/dev/shm/quarry-bench-');
  const directory = join(folder, 'mnt');
  undo.push(folder, () => {
    if (isMountPoint(directory)) throw new Error(`${directory} is still mounted`);
    rmSync(folder, { recursive: true, force: true });
  });
  mkdirSync(directory);
  return { folder, directory };
}

/**
 * Works on a freshly made, freshly mounted filesystem.
 * @param {import('./machine.mjs').Undo} undo
 * @param {import('./systems.mjs').System} system
 * @param {{ device: string, directory: string }} place
 * @param {(remount: () => Promise<void>) => Promise<Record<string, number>>} work `remount` drops
 * all caches between unmount and mount
 */
export async function onFreshMount(undo, system, { device, directory }, work) {
  await system.format(device);
  await dropCaches();
  let unmount = await system.mount(device, directory);
  const undoMount = undo.push(`mount of ${system.name}`, () => unmount());
  try {
    return await work(async () => {
      if (system.forgets) return dropCaches();
      await unmount();
      await dropCaches();
      unmount = await system.mount(device, directory);
    });
  } finally {
    await undoMount().catch(async (error) => {
      await unmountByForce(directory);
      throw error;
    });
  }
}

/**
 * Measures all systems in turn, run by run, so that what drifts on the machine drifts for all. A
 * system that fails in one group loses the rows of that group and goes on with the next.
 * @template {{ rows: { name: string }[] }} Group
 * @param {object} plan
 * @param {import('./machine.mjs').Undo} plan.undo
 * @param {import('./systems.mjs').System[]} plan.systems
 * @param {readonly Group[]} plan.groups
 * @param {Set<string>} plan.wanted names of rows
 * @param {number} plan.runs
 * @param {(line: string) => void} plan.note
 * @param {(system: import('./systems.mjs').System, group: Group) => Promise<Record<string, number>
 * | undefined>} measure undefined where a system has nothing to show
 */
export async function measureAll({ undo, systems, groups, wanted, runs, note }, measure) {
  /** @type {import('./table.mjs').Measured} */
  const measured = Object.fromEntries(systems.map(({ name }) => [name, {}]));
  /** @type {string[]} */
  const failures = [];
  const asked = groups.filter(({ rows }) => rows.some(({ name }) => wanted.has(name)));
  for (let runNumber = 1; runNumber <= runs; runNumber++) {
    for (const system of systems) {
      const perRow = measured[system.name] ?? {};
      for (const group of asked) {
        try {
          for (const [row, value] of Object.entries((await measure(system, group)) ?? {}))
            if (wanted.has(row)) perRow[row] = [...(perRow[row] ?? []), value];
        } catch (error) {
          // Somebody ended the run.
          if (undo.isOver) return { measured, failures };
          const line = `${system.name}, ${group.rows[0]?.name}…, run ${runNumber}: ${error instanceof Error ? error.message : error}`;
          failures.push(line);
          console.error(`failed: ${line}`);
        }
      }
      note(`run ${runNumber}: ${system.name} done`);
    }
  }
  return { measured, failures };
}

/** The systems whose programs are there. @param {import('./systems.mjs').System[]} systems @param {(line: string) => void} note */
export function installedOnes(systems, note) {
  return systems.filter((system) => {
    const missing = missingPrograms(system);
    if (missing.length > 0) note(`left out: ${system.name} (not installed: ${missing.join(', ')})`);
    return missing.length === 0;
  });
}
