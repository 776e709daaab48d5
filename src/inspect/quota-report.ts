/** The quotas for people: what is counted, and each record. */
import { viewOf } from '../common/bytes.ts';
import { QUOTA_KEYS_PER_KIND, QuotaKind, QuotaRecord, VolumeRoot } from '../fs/format/format.ts';
import type { VolumeSource } from './volume-source.ts';

/** Blocks and inodes as they stand; times in seconds since 1970. */
export interface QuotaReport {
  readonly kind: string;
  readonly id: number;
  readonly blocks: number;
  readonly softBlocks: number;
  readonly hardBlocks: number;
  readonly blockDeadline: number;
  readonly inodes: number;
  readonly softInodes: number;
  readonly hardInodes: number;
  readonly inodeDeadline: number;
}

export interface QuotasReport {
  /** Of the root of the tree; 0 if there is none. */
  readonly rootBlock: number;
  /** Names of the kinds that are counted. */
  readonly counted: readonly string[];
  readonly quotas: readonly QuotaReport[];
}

/** @throws InspectError at a damaged block */
export async function reportQuotas(source: VolumeSource): Promise<QuotasReport> {
  const view = viewOf((await source.table()).bytes);
  const bits = VolumeRoot.quotaKinds.get(view, 0);
  const counted = Object.entries(QuotaKind).filter(([, kind]) => (bits & (1 << (kind - 1))) !== 0);
  const quotas: QuotaReport[] = [];
  for await (const { bytes, at } of source.quotaRecords()) quotas.push(quotaAt(viewOf(bytes), at));
  return {
    rootBlock: VolumeRoot.quotaBlock.get(view, 0),
    counted: counted.map(([name]) => name),
    quotas,
  };
}

function quotaAt(view: DataView, at: number): QuotaReport {
  const key = QuotaRecord.key.get(view, at);
  const kind = Math.floor(key / QUOTA_KEYS_PER_KIND);
  return {
    kind: Object.entries(QuotaKind).find(([, value]) => value === kind)?.[0] ?? `kind ${kind}`,
    id: key % QUOTA_KEYS_PER_KIND,
    blocks: QuotaRecord.blocks.get(view, at),
    softBlocks: QuotaRecord.softBlocks.get(view, at),
    hardBlocks: QuotaRecord.hardBlocks.get(view, at),
    blockDeadline: QuotaRecord.blockDeadline.get(view, at),
    inodes: QuotaRecord.inodes.get(view, at),
    softInodes: QuotaRecord.softInodes.get(view, at),
    hardInodes: QuotaRecord.hardInodes.get(view, at),
    inodeDeadline: QuotaRecord.inodeDeadline.get(view, at),
  };
}
