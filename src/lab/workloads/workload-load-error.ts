/** No such workload, or a module or file that is none; the message is one sentence for the user. */
export class WorkloadLoadError extends Error {
  override readonly name = 'WorkloadLoadError';
}
