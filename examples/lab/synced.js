/**
 * The workload `files` with an fsync ahead of every close: a filesystem that keeps data back must
 * then give it a place while the file is open, as one in user space always must, which the kernel
 * hands the data at each close.
 *
 *   quarry lab run --workloads ./synced.js …
 */
import { WORKLOADS } from 'quarryfs/lab';

const files = WORKLOADS.get('files');

export default {
  ...files,
  name: 'files-synced',
  says: `${files.says}, with an fsync ahead of every close`,
  *operations(place) {
    for (const operation of files.operations(place)) {
      if (operation.kind === 'close') yield { kind: 'sync', file: operation.file };
      yield operation;
    }
  },
};
