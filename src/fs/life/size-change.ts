/**
 * The one transaction in which a volume becomes larger or smaller. It may be performed more than
 * once, so what is in memory follows it.
 */
import type { Device } from '../../aio/device.ts';
import type { Operation } from '../base/filesystem.ts';
import { VolumeRoot } from '../format/format.ts';
import type { InodeTable } from '../inodes/inode-table.ts';
import type { OperationRunner } from '../transaction/operation-runner.ts';
import type { SpaceMap } from '../transaction/space-map.ts';
import type { Transaction } from '../transaction/transaction.ts';

export interface SizeChangeParts {
  readonly device: Device;
  readonly space: SpaceMap;
  readonly table: InodeTable;
  readonly runner: OperationRunner;
}

class SizeChange implements Operation<Transaction> {
  constructor(
    readonly parts: SizeChangeParts,
    readonly blockCount: number,
    readonly how: 'grow' | 'shrink',
    readonly done: (thrown: unknown) => void,
  ) {}

  perform(tx: Transaction): void {
    const { table, space } = this.parts;
    const root = table.root(tx);
    tx.modify(root);
    VolumeRoot.blockCount.set(root.view, 0, this.blockCount);
    space[this.how](tx, this.blockCount);
  }

  finished(thrown: unknown): void {
    if (thrown === undefined) this.parts.space.resized(this.blockCount);
    this.done(thrown);
  }
}

/** It is in memory when it resolves; a commit makes it durable. @throws what the space throws */
export function changeSize(
  parts: SizeChangeParts,
  blockCount: number,
  how: 'grow' | 'shrink',
): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (thrown: unknown) => (thrown === undefined ? resolve() : reject(thrown));
    parts.runner.execute(new SizeChange(parts, blockCount, how, done));
    parts.device.submit();
  });
}
