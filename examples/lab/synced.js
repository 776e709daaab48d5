/**
 * Workloads of the laboratory with an fsync ahead of every close: a filesystem that keeps data back
 * must then give it a place while the file is open, as one in user space always must, which the
 * kernel hands the data at each close.
 *
 *   WORKLOAD=web quarry lab run --workloads ./synced.js …
 */
import { WORKLOADS } from 'quarryfs/lab';

const { WORKLOAD: name = 'files' } = process.env;
const original = WORKLOADS.get(name);
if (original === undefined) throw new Error(`there is no workload '${name}'`);

export default {
  ...original,
  name: `${name}-synced`,
  says: `${original.says}, with an fsync ahead of every close`,
  *operations(place) {
    for (const operation of original.operations(place)) {
      if (operation.kind === 'close') yield { kind: 'sync', file: operation.file };
      yield operation;
    }
  },
};
