/** A member of a tar archive: a file, and what an archive says of it. */

export type MemberType =
  | 'file'
  | 'hardLink'
  | 'symlink'
  | 'characterDevice'
  | 'blockDevice'
  | 'directory'
  | 'fifo';

export interface Member {
  /** As it stands in the archive. */
  readonly name: Buffer;
  readonly type: MemberType;
  /** Permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since 1970. */
  readonly modifyNs: bigint;
  readonly accessNs?: bigint | undefined;
  /** Of a link: of a hard one the name of another member. */
  readonly linkName: Buffer;
  /** Of a device. */
  readonly major: number;
  readonly minor: number;
  /** Of the file, with its holes. */
  readonly sizeBytes: number;
  readonly attributes: readonly (readonly [name: string, value: Uint8Array])[];
  /** Access control lists in words, as acl(5) has them. */
  readonly accessAcl?: string | undefined;
  readonly defaultAcl?: string | undefined;
}

/** Data of a file with holes. */
export interface Stretch {
  readonly offset: number;
  readonly lengthBytes: number;
}

/** Bytes of a file; between pieces are holes, and the last one, which is empty, is at its end. */
export interface MemberPiece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The letters of types in headers. */
export const TYPE_LETTERS: Readonly<Record<MemberType, string>> = {
  file: '0',
  hardLink: '1',
  symlink: '2',
  characterDevice: '3',
  blockDevice: '4',
  directory: '5',
  fifo: '6',
};

/** Keys of records, and what begins keys. */
export const PaxKey = {
  attribute: 'SCHILY.xattr.',
  accessAcl: 'SCHILY.acl.access',
  defaultAcl: 'SCHILY.acl.default',
  sparse: 'GNU.sparse.',
} as const;
