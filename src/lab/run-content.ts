/**
 * What the code of a run is made from, where that is not the program: module files of a policy and
 * of a workload, a record, a trace, a repository. Results of other content are another run's.
 *
 * Of a module only its own file counts: what it imports is not looked at.
 */
import { resolve } from 'node:path';
import { isModulePath } from '../alloc/registry.ts';
import { policyParts } from './policy-spec.ts';
import { contentHash } from './workloads/content-hash.ts';
import type { Workload } from './workloads/workload.ts';

/** A hash by name of a policy or a workload, for those that are made from something. */
export type Contents = Readonly<Record<string, string>>;

/** Of one run; undefined for what comes with the program. */
export interface RunContent {
  readonly policy?: string;
  readonly workload?: string;
}

export function contentOfRun(
  contents: Contents | undefined,
  { policy, workload }: { readonly policy: string; readonly workload: string },
): RunContent {
  const [ofPolicy, ofWorkload] = [contents?.[policy], contents?.[workload]];
  return {
    ...(ofPolicy === undefined ? {} : { policy: ofPolicy }),
    ...(ofWorkload === undefined ? {} : { workload: ofWorkload }),
  };
}

export function isSameContent(one: RunContent | undefined, other: RunContent): boolean {
  return one?.policy === other.policy && one?.workload === other.workload;
}

/** @throws AllocatorLoadError if the options are none; the error of the file */
export async function policyContent(spec: string): Promise<string | undefined> {
  const { name } = policyParts(spec);
  return isModulePath(name) ? await contentHash(resolve(name)) : undefined;
}

/** @throws the error of the file */
export async function workloadContent(name: string, { content }: Workload): Promise<string | undefined> {
  if (content !== undefined || !isModulePath(name)) return content;
  return await contentHash(resolve(name));
}
