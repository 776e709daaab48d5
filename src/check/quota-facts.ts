/** What the inodes of users, groups and projects add up to, as the checker counts it. */
import type { RecordPlace } from '../common/record.ts';
import { Inode, NO_ID, QUOTA_KEYS_PER_KIND, QuotaKind, UNMAPPED_ID } from '../fs/format/format.ts';

const KIND_NAMES = { [QuotaKind.user]: 'user', [QuotaKind.group]: 'group', [QuotaKind.project]: 'project' };
export const QUOTA_KINDS: readonly QuotaKind[] = [QuotaKind.user, QuotaKind.group, QuotaKind.project];

export interface UsageFacts {
  blocks: number;
  inodes: number;
}

/** Whose a key is, in words; of kinds that there are. */
export function ownerName(key: number): string {
  const kind = QUOTA_KINDS.find((known) => known === Math.floor(key / QUOTA_KEYS_PER_KIND));
  return kind === undefined ? `key ${key}` : `${KIND_NAMES[kind]} ${key % QUOTA_KEYS_PER_KIND}`;
}

/** As in `VolumeRoot.quotaKinds`. */
export function bitOf(key: number): number {
  return 1 << (Math.floor(key / QUOTA_KEYS_PER_KIND) - 1);
}

/** Usage by key of the record that counts it. */
export class QuotaFacts {
  readonly #usage = new Map<number, UsageFacts>();

  /** An inode in use that stands there. */
  add({ view, at }: RecordPlace): void {
    const blocks = Inode.blocks.get(view, at);
    const project = Inode.projectId.get(view, at);
    this.#add(QuotaKind.user, Inode.uid.get(view, at), blocks);
    this.#add(QuotaKind.group, Inode.gid.get(view, at), blocks);
    if (project !== 0) this.#addTo(QuotaKind.project * QUOTA_KEYS_PER_KIND + project, blocks);
  }

  #add(kind: QuotaKind, id: number, blocks: number): void {
    this.#addTo(kind * QUOTA_KEYS_PER_KIND + (id === NO_ID ? UNMAPPED_ID : id), blocks);
  }

  #addTo(key: number, blocks: number): void {
    const usage = this.#usage.get(key);
    if (usage === undefined) this.#usage.set(key, { blocks, inodes: 1 });
    else {
      usage.blocks += blocks;
      usage.inodes++;
    }
  }

  of(key: number): UsageFacts {
    return this.#usage.get(key) ?? { blocks: 0, inodes: 0 };
  }

  /** In order. */
  keys(): number[] {
    return [...this.#usage.keys()].sort((a, b) => a - b);
  }
}
