/** What becomes of an ioctl: a row of the tables of commands. */
import type { TransactionHandle } from '../fs/base/filesystem.ts';
import type { FuseRequest } from './request.ts';

/** It has one of `perform` and `run`, which give the answer. */
export interface IoctlCommand {
  /** It brings as many bytes, which stand in `passed.bytes`. */
  readonly inBytes: number;
  /** Room that its answer needs. */
  readonly outBytes: number;
  /** What the kernel may keep of the attributes changes. */
  readonly changesFlags?: boolean;
  /** In a transaction. */
  perform?(request: FuseRequest, tx: TransactionHandle): Uint8Array;
  run?(request: FuseRequest): Promise<Uint8Array>;
}
