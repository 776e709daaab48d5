/** Workloads by name, or by the file of a module whose default export is one. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf } from '../../common/thrown.ts';
import { WORKLOADS } from './catalogue.ts';
import type { Workload } from './workload.ts';

/** No such workload, or a module that is none; the message is one sentence for the user. */
export class WorkloadLoadError extends Error {
  override readonly name = 'WorkloadLoadError';
}

/**
 * @param nameOrFile a name of `WORKLOADS`, or a path, relative to the working directory
 * @throws WorkloadLoadError
 */
export async function loadWorkload(nameOrFile: string): Promise<Workload> {
  const known = WORKLOADS.get(nameOrFile);
  if (known !== undefined) return known;
  if (!nameOrFile.includes('/') && !/\.[cm]?[jt]s$/.test(nameOrFile)) {
    const names = [...WORKLOADS.keys()].join(', ');
    throw new WorkloadLoadError(
      `unknown workload '${nameOrFile}': use ${names}, or a module such as ./mine.js`,
    );
  }
  return loadModule(nameOrFile);
}

async function loadModule(file: string): Promise<Workload> {
  const path = resolve(file);
  if (!existsSync(path)) throw new WorkloadLoadError(`workload module ${file} does not exist`);
  let exported: unknown;
  try {
    const module: { default?: unknown } = await import(pathToFileURL(path).href);
    exported = module.default;
  } catch (thrown) {
    throw new WorkloadLoadError(`workload module ${file} cannot be loaded: ${messageOf(thrown)}`);
  }
  if (!isWorkload(exported)) {
    throw new WorkloadLoadError(
      `workload module ${file} must export { name, says, source, operations } by default`,
    );
  }
  return exported;
}

function isWorkload(value: unknown): value is Workload {
  if (typeof value !== 'object' || value === null) return false;
  const { name, operations } = value as Partial<Workload>;
  return typeof name === 'string' && name !== '' && typeof operations === 'function';
}
