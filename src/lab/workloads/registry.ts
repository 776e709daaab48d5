/** Workloads by name, or by the file of a module whose default export is one. */
import { importDefault, isModulePath } from '../../alloc/registry.ts';
import { messageOf } from '../../common/thrown.ts';
import { RECORD_EXTENSION } from '../../record/record-format.ts';
import { WORKLOADS } from './catalogue.ts';
import { loadRecorded } from './recorded.ts';
import type { Workload } from './workload.ts';
import { WorkloadLoadError } from './workload-load-error.ts';

/**
 * @param nameOrFile a name of `WORKLOADS`, or a path, relative to the working directory
 * @throws WorkloadLoadError
 */
export async function loadWorkload(nameOrFile: string): Promise<Workload> {
  const known = WORKLOADS.get(nameOrFile);
  if (known !== undefined) return known;
  if (nameOrFile.endsWith(RECORD_EXTENSION)) return await loadRecorded(nameOrFile);
  if (!isModulePath(nameOrFile)) {
    const names = [...WORKLOADS.keys()].join(', ');
    throw new WorkloadLoadError(
      `unknown workload '${nameOrFile}': use ${names}, or a module such as ./mine.js`,
    );
  }
  return loadModule(nameOrFile);
}

async function loadModule(file: string): Promise<Workload> {
  let exported: unknown;
  try {
    exported = await importDefault('workload', file);
  } catch (thrown) {
    throw new WorkloadLoadError(messageOf(thrown));
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
