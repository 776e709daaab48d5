/** The records of quotas, where they stand: fields, and what they say. */
import type { I64, RecordPlace, U64 } from '../../common/record.ts';
import { QUOTA_KEYS_PER_KIND, QuotaKind, QuotaRecord, VolumeRoot } from '../format/format.ts';
import type { QuotaLimits } from './quota-limits.ts';

export const QUOTA_KINDS: readonly QuotaKind[] = [QuotaKind.user, QuotaKind.group, QuotaKind.project];

export function quotaKey(kind: QuotaKind, id: number): number {
  return kind * QUOTA_KEYS_PER_KIND + id;
}

/** @param key of a record, so of a kind that there is */
export function kindOfKey(key: number): QuotaKind {
  const kind = Math.floor(key / QUOTA_KEYS_PER_KIND);
  return kind === QuotaKind.user || kind === QuotaKind.group ? kind : QuotaKind.project;
}

/** As in `VolumeRoot.quotaKinds`. */
export function bitOfKind(kind: QuotaKind): number {
  return 1 << (kind - 1);
}

/** Usage and limits of one user, group or project; blocks are those of the volume. */
export interface QuotaEntry {
  readonly id: number;
  readonly blocks: number;
  readonly inodes: number;
  readonly blockLimits: QuotaLimits;
  readonly inodeLimits: QuotaLimits;
}

/** The fields of what is counted: blocks, or inodes. */
export interface QuotaFields {
  readonly used: U64;
  readonly soft: U64;
  readonly hard: U64;
  readonly deadline: I64;
}

export const BLOCK_FIELDS: QuotaFields = {
  used: QuotaRecord.blocks,
  soft: QuotaRecord.softBlocks,
  hard: QuotaRecord.hardBlocks,
  deadline: QuotaRecord.blockDeadline,
};
export const INODE_FIELDS: QuotaFields = {
  used: QuotaRecord.inodes,
  soft: QuotaRecord.softInodes,
  hard: QuotaRecord.hardInodes,
  deadline: QuotaRecord.inodeDeadline,
};

/** In the volume root, of the two. */
export const GRACE_FIELDS = {
  [QuotaKind.user]: [VolumeRoot.userBlockGrace, VolumeRoot.userInodeGrace],
  [QuotaKind.group]: [VolumeRoot.groupBlockGrace, VolumeRoot.groupInodeGrace],
  [QuotaKind.project]: [VolumeRoot.projectBlockGrace, VolumeRoot.projectInodeGrace],
} as const;

export function limitsAt({ view, at }: RecordPlace, { soft, hard, deadline }: QuotaFields): QuotaLimits {
  return { soft: soft.get(view, at), hard: hard.get(view, at), deadline: deadline.get(view, at) };
}

export function entryAt(place: RecordPlace): QuotaEntry {
  const { view, at } = place;
  return {
    id: QuotaRecord.key.get(view, at) % QUOTA_KEYS_PER_KIND,
    blocks: QuotaRecord.blocks.get(view, at),
    inodes: QuotaRecord.inodes.get(view, at),
    blockLimits: limitsAt(place, BLOCK_FIELDS),
    inodeLimits: limitsAt(place, INODE_FIELDS),
  };
}

/** The record says nothing that its absence would not. */
export function isBlank(place: RecordPlace): boolean {
  const { blocks, inodes, blockLimits, inodeLimits } = entryAt(place);
  return blocks + inodes + blockLimits.soft + blockLimits.hard + inodeLimits.soft + inodeLimits.hard === 0;
}
