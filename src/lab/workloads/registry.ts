/**
 * Workloads by name, or by what they are made from: a module whose default export is one, a record
 * of a mount, a block trace, the history of a repository.
 */
import { importDefault, isModulePath } from '../../alloc/registry.ts';
import { messageOf } from '../../common/thrown.ts';
import { RECORD_EXTENSION } from '../../record/record-format.ts';
import { isRecordFile } from '../../record/record-reader.ts';
import { loadBlockTrace } from './block-trace.ts';
import { WORKLOADS } from './catalogue.ts';
import { loadRecorded } from './recorded.ts';
import { loadRepository } from './repository.ts';
import { traceKindOf } from './trace-requests.ts';
import type { Workload } from './workload.ts';
import { WorkloadLoadError } from './workload-load-error.ts';

/** Before the path of a repository. */
export const REPOSITORY_PREFIX = 'git?repo=';

/**
 * @param nameOrFile a name of `WORKLOADS`, a path relative to the working directory, or
 * `REPOSITORY_PREFIX` and such a path
 * @throws WorkloadLoadError
 */
export async function loadWorkload(nameOrFile: string): Promise<Workload> {
  const known = WORKLOADS.get(nameOrFile);
  if (known !== undefined) return known;
  if (nameOrFile.startsWith(REPOSITORY_PREFIX))
    return await loadRepository(nameOrFile.slice(REPOSITORY_PREFIX.length));
  if (nameOrFile.endsWith(RECORD_EXTENSION) || isRecordFile(nameOrFile))
    return await loadRecorded(nameOrFile);
  const kind = traceKindOf(nameOrFile);
  if (kind !== undefined) return await loadBlockTrace(nameOrFile, kind);
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
