/**
 * Pass 10: the quotas. The tree itself, that its records make sense, and that what they count is
 * what the inodes add up to.
 *
 * While an inode counts other blocks than it has, usage is not compared: it is when that is mended.
 */
import { viewOf } from '../common/bytes.ts';
import type { RecordPlace } from '../common/record.ts';
import {
  BlockKind,
  HEADER_BYTES,
  OwnerHeader,
  QUOTA_KEYS_END,
  QUOTA_KEYS_PER_KIND,
  QuotaRecord,
  TreeKind,
  VolumeRoot,
} from '../fs/format/format.ts';
import type { CheckContext } from './context.ts';
import { bitOf, ownerName, QUOTA_KINDS } from './quota-facts.ts';
import type { RootFacts } from './root-pass.ts';
import type { NodeBytes } from './tree-node.ts';
import { walkTree } from './tree-walk.ts';

/** All kinds that there are, as bits. */
export const KNOWN_KINDS = QUOTA_KINDS.reduce((bits, kind) => bits | (1 << (kind - 1)), 0);

const NUMBERS = [
  QuotaRecord.blocks,
  QuotaRecord.inodes,
  QuotaRecord.softBlocks,
  QuotaRecord.hardBlocks,
  QuotaRecord.softInodes,
  QuotaRecord.hardInodes,
] as const;

/** What is counted, its limit, and the time that belongs to it. */
export const DEADLINES = [
  ['blocks', QuotaRecord.blocks, QuotaRecord.softBlocks, QuotaRecord.blockDeadline],
  ['inodes', QuotaRecord.inodes, QuotaRecord.softInodes, QuotaRecord.inodeDeadline],
] as const;

/** Runs the pass. */
export async function checkQuotas(context: CheckContext, root: RootFacts): Promise<void> {
  const { log } = context;
  log.pass = 'quotas';
  const block = VolumeRoot.quotaBlock.get(root.view, 0);
  const kinds = VolumeRoot.quotaKinds.get(root.view, 0);
  if (!context.hasQuotas) {
    if (block !== 0 || kinds !== 0) log.report('quota-unexpected', { block });
    return;
  }
  if ((kinds & ~KNOWN_KINDS) !== 0) log.report('quota-kinds', { found: kinds });
  if (block === 0) {
    if (kinds !== 0) log.report('quota-tree', { block, what: 'there is none' });
    return;
  }
  const region = await readRoot(context, block);
  if (region) await new QuotaCheck(context, kinds).run(region, block);
}

async function readRoot(context: CheckContext, block: number): Promise<NodeBytes | undefined> {
  const { log, reader, space } = context;
  if (!space.contains(block, 1)) {
    log.report('quota-tree', { block, what: 'it is outside the space' });
    return undefined;
  }
  if (space.claim(block, 1)) {
    log.report('quota-tree', { block, what: "its root is somebody else's block" });
    return undefined;
  }
  const bytes = await reader.read(block, { kind: BlockKind.quotaNode, what: 'root of the quotas' });
  if (!bytes) return undefined;
  const view = viewOf(bytes);
  const found = OwnerHeader.owner.get(view, 0);
  if (found !== 0) log.report('tree-owner', { inode: 0, block, found });
  return { view, at: HEADER_BYTES, length: bytes.length - HEADER_BYTES };
}

class QuotaCheck {
  readonly #context: CheckContext;
  readonly #kinds: number;
  readonly #seen = new Set<number>();
  readonly #compares: boolean;

  constructor(context: CheckContext, kinds: number) {
    this.#context = context;
    this.#kinds = kinds;
    this.#compares = !context.log.codes.has('inode-blocks');
  }

  async run(root: NodeBytes, rootBlock: number): Promise<void> {
    const walked = await walkTree(this.#context, {
      inode: 0,
      kind: TreeKind.quotas,
      root,
      rootBlock,
      mayBeEmpty: true,
      keyLimit: QUOTA_KEYS_END,
      visit: (view, at, key) => this.#visit({ view, at }, key),
    });
    if (walked.complete && this.#compares) this.#checkMissing();
  }

  #visit(place: RecordPlace, key: number): void {
    const { log } = this.#context;
    const flaw = recordFlaw(place, key);
    if (flaw !== undefined) {
      log.report('quota-record', { name: ownerName(key), what: flaw });
      return;
    }
    this.#seen.add(key);
    for (const [what, used, soft, deadline] of DEADLINES) {
      const found = deadline.get(place.view, place.at);
      const isPassed =
        soft.get(place.view, place.at) > 0 && used.get(place.view, place.at) > soft.get(place.view, place.at);
      if (found !== 0 && !isPassed && this.#isCounted(key))
        log.report('quota-deadline', { name: ownerName(key), what, found });
    }
    if (this.#compares && this.#isCounted(key)) this.#compare(place, key);
  }

  #isCounted(key: number): boolean {
    return (this.#kinds & bitOf(key)) !== 0;
  }

  #compare({ view, at }: RecordPlace, key: number): void {
    const { inodes, log } = this.#context;
    const expected = inodes.quotas.of(key);
    for (const [what, field] of [
      ['blocks', QuotaRecord.blocks],
      ['inodes', QuotaRecord.inodes],
    ] as const) {
      const found = field.get(view, at);
      if (found === expected[what]) continue;
      log.report('quota-usage', { name: ownerName(key), what, found, expected: expected[what] });
    }
  }

  /** Who has something has a record. */
  #checkMissing(): void {
    const { inodes, log } = this.#context;
    for (const key of inodes.quotas.keys()) {
      if (this.#seen.has(key) || !this.#isCounted(key)) continue;
      const expected = inodes.quotas.of(key).inodes;
      log.report('quota-usage', { name: ownerName(key), what: 'inodes', found: 0, expected });
    }
  }
}

/** What is wrong with a record by itself. */
export function recordFlaw({ view, at }: RecordPlace, key: number): string | undefined {
  if (key < QUOTA_KEYS_PER_KIND || key >= QUOTA_KEYS_END) return 'it is of no kind';
  if (key === QUOTA_KEYS_END - QUOTA_KEYS_PER_KIND) return 'project 0 is none';
  if (NUMBERS.some((field) => !Number.isSafeInteger(field.get(view, at)))) return 'it has impossible numbers';
  const times = DEADLINES.map(([, , , deadline]) => deadline.get(view, at));
  return times.some((time) => time < 0 || !Number.isSafeInteger(time))
    ? 'it has impossible times'
    : undefined;
}
