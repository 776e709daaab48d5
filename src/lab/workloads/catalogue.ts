/** The workloads that come with the laboratory, by name. */
import { AGEING_WORKLOADS } from './ageing.ts';
import { GROWING_WORKLOADS } from './growing-files.ts';
import { MANY_FILE_WORKLOADS } from './many-files.ts';
import type { Workload } from './workload.ts';

export const WORKLOADS: ReadonlyMap<string, Workload> = new Map(
  [...AGEING_WORKLOADS, ...MANY_FILE_WORKLOADS, ...GROWING_WORKLOADS].map((workload) => [
    workload.name,
    workload,
  ]),
);
