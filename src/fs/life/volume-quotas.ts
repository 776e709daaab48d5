/**
 * What is asked of the quotas of a volume by people: what everybody has, limits, times of grace;
 * and that they are counted from now on, or no more.
 *
 *   turn on    superblock: has quotas ──▶ no kind counted, a tree ──▶ inodes gone through ──▶
 *              usage into the tree, a few at a time ──▶ one transaction: counted
 *   turn off   no kind counted ──▶ the tree goes, a few records at a time ──▶ superblock
 *
 * Nobody else may use the volume meanwhile, and an unmount should follow. A crash leaves a volume
 * on which nothing is counted, and limits that were set are kept until the tree goes.
 */
import { fsError } from '../base/errors.ts';
import { hasFeature } from '../format/features.ts';
import { Inode, QuotaKind } from '../format/format.ts';
import type { Layout } from '../format/layout.ts';
import type { SuperblockImage } from '../format/superblock.ts';
import type { InodeTable } from '../inodes/inode-table.ts';
import { QUOTA_KINDS, type QuotaEntry, quotaKey } from '../inodes/quota-records.ts';
import type { GraceChanges, QuotaGrace } from '../inodes/quota-tree.ts';
import { type LimitChanges, Quotas } from '../inodes/quotas.ts';
import { type OperationRunner, transact } from '../transaction/operation-runner.ts';
import type { SpaceMap } from '../transaction/space-map.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { blocksOf, gidOf, uidOf } from '../tree/inode.ts';
import type { Durability } from './durability.ts';
import type { Health } from './health.ts';
import type { VolumeMarks } from './volume-marks.ts';

/** Inodes that one transaction looks at: each may have to be loaded. */
const INODES_PER_LOOK = 32;
/** Records that one transaction changes: each may split a leaf. */
const RECORDS_PER_STEP = 4;
/** Records that are read at once. */
const RECORDS_PER_LOOK = 64;

export interface VolumeQuotaParts {
  readonly device: { submit(): void };
  readonly layout: Layout;
  readonly superblock: SuperblockImage;
  readonly tx: Transaction;
  readonly space: SpaceMap;
  readonly table: InodeTable;
  readonly quotas: Quotas | undefined;
  readonly runner: OperationRunner;
  readonly durability: Durability;
  readonly marks: VolumeMarks;
  readonly health: Health;
}

type Usage = Pick<QuotaEntry, 'blocks' | 'inodes'>;

/** What the volume has of one kind, from one id on. */
export interface QuotaPage {
  readonly entries: readonly QuotaEntry[];
  readonly grace: QuotaGrace;
}

export class VolumeQuotas {
  readonly #parts: VolumeQuotaParts;
  #quotas: Quotas;

  constructor(parts: VolumeQuotaParts) {
    this.#parts = parts;
    this.#quotas = parts.quotas ?? new Quotas(parts.table, parts.space);
  }

  #run<T>(body: (tx: Transaction) => T): Promise<T> {
    return transact(this.#parts, body);
  }

  /** Those that are counted. */
  async kinds(): Promise<QuotaKind[]> {
    if (!hasFeature(this.#parts.superblock.view, 'quota')) return [];
    return await this.#run((tx) => QUOTA_KINDS.filter((kind) => this.#quotas.counts(tx, kind)));
  }

  /** @throws EOPNOTSUPP where the kind is not counted */
  #expectCounted(tx: Transaction, kind: QuotaKind): void {
    const isThere = hasFeature(this.#parts.superblock.view, 'quota') && this.#quotas.counts(tx, kind);
    if (!isThere) throw fsError('EOPNOTSUPP');
  }

  /** At most so many, in order of their ids. @throws EOPNOTSUPP */
  page(kind: QuotaKind, fromId: number, most: number): Promise<QuotaPage> {
    return this.#run((tx) => {
      this.#expectCounted(tx, kind);
      const { tree } = this.#quotas;
      return { entries: tree.entries(tx, kind, fromId, most), grace: tree.grace(tx, kind) };
    });
  }

  /** It is durable when it resolves. Limits in blocks. @throws EOPNOTSUPP, EINVAL, ENOSPC, EROFS */
  async setLimits(kind: QuotaKind, id: number, changes: LimitChanges): Promise<void> {
    // Nobody is limited by an id of 0: a limit for it would be one that does not hold.
    if (id === 0 && Object.values(changes).some((limit) => limit > 0)) throw fsError('EINVAL');
    await this.#run((tx) => {
      this.#expectCounted(tx, kind);
      this.#quotas.setLimits(tx, kind, id, changes);
    });
    await this.#parts.durability.commit();
  }

  /** The same. */
  async setGrace(kind: QuotaKind, grace: GraceChanges): Promise<void> {
    await this.#run((tx) => {
      this.#expectCounted(tx, kind);
      this.#quotas.tree.setGrace(tx, kind, grace);
    });
    await this.#parts.durability.commit();
  }

  /**
   * Counts these kinds from now on, and no others. It is durable when it resolves. Limits hold for
   * all that is asked of the volume from its next mount on.
   * @param progress told how many inodes were gone through
   * @throws EROFS, ENOSPC, the error of the device
   */
  async turnOn(kinds: readonly QuotaKind[], progress: (done: number) => void = () => {}): Promise<void> {
    const { health, marks, layout, durability } = this.#parts;
    if (health.state !== 'writable') throw fsError('EROFS');
    await marks.markFeature('quota', true, layout);
    this.#parts.tx.usage = this.#quotas;
    await this.#run((tx) => {
      this.#quotas.tree.create(tx);
      this.#quotas.tree.setKinds(tx, []);
    });
    await durability.commit();
    await this.#enter(await this.#count(kinds, progress), kinds);
    await this.#run((tx) => this.#quotas.tree.setKinds(tx, kinds));
    await durability.commit();
  }

  /** Counts nothing any more; limits are gone. It is durable when it resolves. @throws EROFS */
  async turnOff(): Promise<void> {
    const { health, marks, layout, durability } = this.#parts;
    if (health.state !== 'writable') throw fsError('EROFS');
    if (!hasFeature(this.#parts.superblock.view, 'quota')) return;
    await this.#run((tx) => this.#quotas.tree.setKinds(tx, []));
    while (!(await this.#run((tx) => this.#quotas.tree.drop(tx, RECORDS_PER_STEP))));
    await durability.commit();
    this.#parts.tx.usage = undefined;
    await marks.markFeature('quota', false, layout);
  }

  /** Usage of everybody, by key. */
  async #count(kinds: readonly QuotaKind[], progress: (done: number) => void): Promise<Map<number, Usage>> {
    const usage = new Map<number, Usage>();
    let done = 0;
    for (let from = 1; Number.isFinite(from); progress(done)) {
      const start = from;
      const found = await this.#run((tx) => this.#look(tx, start, kinds));
      for (const [key, blocks] of found.owned) {
        const before = usage.get(key) ?? { blocks: 0, inodes: 0 };
        usage.set(key, { blocks: before.blocks + blocks, inodes: before.inodes + 1 });
      }
      done += found.inodes;
      from = found.next;
    }
    return usage;
  }

  /** What the next inodes from one on count for: keys, and blocks of each. */
  #look(
    tx: Transaction,
    from: number,
    kinds: readonly QuotaKind[],
  ): { owned: [key: number, blocks: number][]; inodes: number; next: number } {
    const { table } = this.#parts;
    const owned: [number, number][] = [];
    let inodes = 0;
    let number = table.next(tx, from);
    for (; Number.isFinite(number) && inodes < INODES_PER_LOOK; inodes++) {
      const inode = table.get(tx, number);
      const ids = {
        [QuotaKind.user]: uidOf(inode),
        [QuotaKind.group]: gidOf(inode),
        [QuotaKind.project]: Inode.projectId.get(inode.frame.view, inode.at),
      };
      for (const kind of kinds)
        if (kind !== QuotaKind.project || ids[kind] !== 0)
          owned.push([quotaKey(kind, ids[kind]), blocksOf(inode)]);
      number = table.next(tx, number + 1);
    }
    return { owned, inodes, next: number };
  }

  /** Brings the tree to what was counted; whoever has nothing keeps limits. */
  async #enter(usage: ReadonlyMap<number, Usage>, kinds: readonly QuotaKind[]): Promise<void> {
    const keys = new Set(usage.keys());
    for (const kind of kinds) for await (const id of this.#ids(kind)) keys.add(quotaKey(kind, id));
    const all = [...keys].sort((a, b) => a - b);
    for (let at = 0; at < all.length; at += RECORDS_PER_STEP) {
      await this.#run((tx) => {
        for (const key of all.slice(at, at + RECORDS_PER_STEP))
          this.#quotas.setUsage(tx, key, usage.get(key) ?? { blocks: 0, inodes: 0 });
      });
    }
  }

  /** Of the records that there are. */
  async *#ids(kind: QuotaKind): AsyncGenerator<number> {
    for (let from = 0; ; ) {
      const start = from;
      const { tree } = this.#quotas;
      const page = await this.#run((tx) => tree.entries(tx, kind, start, RECORDS_PER_LOOK));
      for (const { id } of page) yield id;
      const last = page.at(-1);
      if (last === undefined) return;
      from = last.id + 1;
    }
  }
}
