/**
 * What a workload does, as data: the same stream feeds every contender.
 *
 * Files and directories have numbers of the workload's own, given once and never again; directory 0
 * is the root. Nothing of the volume comes back to the workload, so that the stream does not depend
 * on who carries it out. A file is written as a program writes it: in order, or at places.
 */

export type LabOperation =
  | { readonly kind: 'makeDirectory'; readonly directory: number; readonly parent: number }
  | { readonly kind: 'removeDirectory'; readonly directory: number }
  | { readonly kind: 'create'; readonly file: number; readonly directory: number }
  | {
      readonly kind: 'write';
      readonly file: number;
      readonly offsetBytes: number;
      readonly lengthBytes: number;
    }
  /** Who wrote it is done: what is in the cache goes out. */
  | { readonly kind: 'close'; readonly file: number }
  | { readonly kind: 'truncate'; readonly file: number; readonly sizeBytes: number }
  | { readonly kind: 'remove'; readonly file: number }
  /** The file takes the place of `over`, which is gone then, or a name of its own. */
  | { readonly kind: 'rename'; readonly file: number; readonly over: number | undefined }
  | { readonly kind: 'sync'; readonly file: number }
  | { readonly kind: 'wait'; readonly seconds: number };

/** A whole number ≥ `bytes` that is a multiple of `blockBytes`. */
export function wholeBlocks(bytes: number, blockBytes: number): number {
  return Math.ceil(bytes / blockBytes) * blockBytes;
}
