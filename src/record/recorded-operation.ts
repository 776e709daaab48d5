/**
 * What a record of a mount is made of: the operations that changed something, or asked for
 * durability, in the order in which they ended, by the numbers that inodes have on the volume.
 *
 * A record begins while the mount is in use, so what exists already is told as it is met
 * (`existing`), among the operations that go on meanwhile, until `begun` says that all of it is
 * told. An operation on what was not told yet is not in the record: what it did is in the file's
 * size when the file is told. A directory comes before what is in it. So a reader that takes the
 * operations one by one, and passes over those on inodes that it does not know, has the tree.
 */

export const RecordKind = {
  /**
   * The file, as it was: `links` names lead to it, of which one is told, if it is known; its blocks
   * take `lengthBytes`, 0 for one that lies in its inode.
   */
  existing: 1,
  begun: 2,
  /** A file of any type; of a symlink, `sizeBytes` is the length of its target. */
  create: 3,
  link: 4,
  unlink: 5,
  removeDirectory: 6,
  /** `replaced` had the new name, or 0. An exchange is two of them, without. */
  rename: 7,
  write: 8,
  truncate: 9,
  /** fsync(2), or with inode 0 syncfs(2). */
  sync: 10,
  /** Nothing more follows. */
  end: 11,
} as const;

export type RecordKindNumber = (typeof RecordKind)[keyof typeof RecordKind];

/** Types of files, as a record tells them apart. */
export const RecordedType = { file: 1, directory: 2, symlink: 3, other: 4 } as const;

/** One object may be filled again and again; which fields count depends on the kind. */
export interface RecordedOperation {
  kind: RecordKindNumber;
  /** Since the record began. */
  microseconds: number;
  inode: number;
  /** The directory of the name that is given, taken away, or moved from here. */
  parent: number;
  newParent: number;
  replaced: number;
  /** One of `RecordedType`. */
  type: number;
  links: number;
  offsetBytes: number;
  lengthBytes: number;
  sizeBytes: number;
  /** The name that is given; a view that is good until the next operation. */
  name: Uint8Array;
}

export type RecordedNumber = Exclude<keyof RecordedOperation, 'kind' | 'microseconds' | 'name'>;

/** Which fields an operation of a kind has, in the order in which they are written. */
export interface RecordedShape {
  readonly numbers: readonly RecordedNumber[];
  readonly hasName: boolean;
}

function shape(hasName: boolean, ...numbers: RecordedNumber[]): RecordedShape {
  return { numbers, hasName };
}

export const RECORDED_SHAPES: Readonly<Record<RecordKindNumber, RecordedShape>> = {
  [RecordKind.existing]: shape(true, 'inode', 'parent', 'type', 'links', 'sizeBytes', 'lengthBytes'),
  [RecordKind.begun]: shape(false),
  [RecordKind.create]: shape(true, 'inode', 'parent', 'type', 'sizeBytes'),
  [RecordKind.link]: shape(true, 'inode', 'parent'),
  [RecordKind.unlink]: shape(false, 'inode', 'parent'),
  [RecordKind.removeDirectory]: shape(false, 'inode', 'parent'),
  [RecordKind.rename]: shape(true, 'inode', 'parent', 'newParent', 'replaced'),
  [RecordKind.write]: shape(false, 'inode', 'offsetBytes', 'lengthBytes'),
  [RecordKind.truncate]: shape(false, 'inode', 'sizeBytes'),
  [RecordKind.sync]: shape(false, 'inode'),
  [RecordKind.end]: shape(false),
};

export function isRecordKind(number: number): number is RecordKindNumber {
  return Object.hasOwn(RECORDED_SHAPES, number);
}

export const NO_NAME_BYTES = new Uint8Array(0);

export function emptyOperation(): RecordedOperation {
  return {
    kind: RecordKind.end,
    microseconds: 0,
    inode: 0,
    parent: 0,
    newParent: 0,
    replaced: 0,
    type: 0,
    links: 0,
    offsetBytes: 0,
    lengthBytes: 0,
    sizeBytes: 0,
    name: NO_NAME_BYTES,
  };
}

/** Takes operations as they end. What it is given is the caller's again afterwards. */
export interface OperationSink {
  add(operation: RecordedOperation): void;
  /** Resolves when there is room for more from somebody who need not hurry. */
  room?(): Promise<void>;
}
