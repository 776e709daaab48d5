/**
 * Repair: a volume that is damaged is made sound.
 *
 *   check → superblocks → journal brought home → ( stage → check ) … until nothing is found →
 *   superblock says clean
 *
 * A stage mends one layer, from what the check before it found, and the next check builds on what
 * it left. The lowest layer that is not sound is always the next. A stage that did not hold when it
 * was tried a few times is tried coarsely, giving up what resists; so a repair ends.
 *
 * Crash safety: the superblock says `repairing` before the first change and `clean` after the last
 * flush. Changes go out as changes.ts says. A repair that was cut off is begun again, from a volume
 * that is no worse.
 */
import type { Device } from '../aio/device.ts';
import { BlockSource } from './block-source.ts';
import { BlockTarget } from './block-target.ts';
import { type CheckOptions, type CheckResult, type CheckRun, ownerOf, runCheck } from './checker.ts';
import { unusedSequence } from './journal-reader.ts';
import { JournalWriter } from './journal-writer.ts';
import { MAX_KEPT_PROBLEMS, PROBLEMS, type Problem } from './problem.ts';
import { repairAttributes } from './repair-attributes.ts';
import type { RepairContext } from './repair-context.ts';
import { repairDirectories } from './repair-directories.ts';
import { repairInodes } from './repair-inodes.ts';
import { repairLinks } from './repair-links.ts';
import { repairQuotas } from './repair-quotas.ts';
import { repairSpace } from './repair-space.ts';
import { beginRepair, endRepair } from './repair-superblock.ts';
import { repairTable } from './repair-table.ts';
import { RepairedBlocks } from './repaired-blocks.ts';
import { STAGES, type Stage } from './stages.ts';
import { requireWritable } from './superblock-pass.ts';
import { VacantBlocks } from './vacant-blocks.ts';

/** `safe`: only what can lose nothing; `all`: whatever is needed. */
export type RepairMode = 'safe' | 'all';

/**
 * `clean`: there was nothing wrong; `corrected`: there was, and is not any more; `refused`: a
 * repair is needed that could lose something, and was not asked for; `failed`: something is still
 * wrong.
 */
export type RepairOutcome = 'clean' | 'corrected' | 'refused' | 'failed';

export interface RepairResult {
  readonly outcome: RepairOutcome;
  /** All that was found, also what came to light only when something else was mended. */
  readonly problems: readonly Problem[];
  readonly problemCount: number;
  /** The volume as it is now. */
  readonly after: CheckResult;
  /** Transactions of the journal that were brought home. */
  readonly replayed: number;
  /** Inodes on the orphan list that were freed or whose truncation was finished. */
  readonly orphans: number;
  readonly rounds: number;
}

/** A stage is tried this often before it is tried coarsely. */
const FINE_TRIES = 3;
/** More rounds than any volume needs: each layer, and the coarse tries of each. */
const MOST_ROUNDS = 48;

const REPAIRS: Readonly<Partial<Record<Stage, (repair: RepairContext) => Promise<void>>>> = {
  table: repairTable,
  inodes: repairInodes,
  attributes: repairAttributes,
  directories: repairDirectories,
  links: repairLinks,
  quotas: repairQuotas,
  space: repairSpace,
};

/**
 * Checks the volume and repairs what is wrong. Writes nothing to a volume that is sound and was
 * unmounted in order.
 * @throws NothingToCheckError if there is none, or none that this version may change;
 * RepairWriteError if the device fails
 */
export async function repairVolume(
  device: Device,
  mode: RepairMode,
  options: CheckOptions = {},
): Promise<RepairResult> {
  const first = await runCheck(device, options);
  const session = new RepairSession(device, mode, options, first);
  return await session.run();
}

class RepairSession {
  readonly #device: Device;
  readonly #mode: RepairMode;
  readonly #options: CheckOptions;
  readonly #first: CheckRun;
  readonly #target: BlockTarget;
  readonly #problems = new Map<string, Problem>();
  readonly #tries = new Map<Stage, number>();
  #problemCount = 0;
  #rounds = 0;

  constructor(device: Device, mode: RepairMode, options: CheckOptions, first: CheckRun) {
    this.#device = device;
    this.#mode = mode;
    this.#options = options;
    this.#first = first;
    this.#target = new BlockTarget(device);
  }

  async run(): Promise<RepairResult> {
    const { log } = this.#first.context;
    this.#remember(this.#first);
    if (log.count === 0 && this.#first.superblocks.isClean) return this.#result('clean', this.#first);
    requireWritable(this.#first.superblocks.chosen);
    if (this.#isRefused(this.#first)) return this.#result('refused', this.#first);
    await beginRepair(this.#target, this.#device.sectorBytes, this.#first, isSound(this.#first));
    const journal = await this.#replay();
    const last = await this.#mend(journal);
    if (!isSound(last)) return this.#result(this.#isRefused(last) ? 'refused' : 'failed', last);
    await endRepair(this.#target, this.#device.sectorBytes, last.superblocks);
    const state = { ...last, result: { ...last.result, state: 'clean' as const } };
    return this.#result(log.count === 0 ? 'clean' : 'corrected', state);
  }

  #isRefused({ context }: CheckRun): boolean {
    return this.#mode === 'safe' && context.log.unsafe > 0;
  }

  /** Brings home what the journal holds, and begins it anew. */
  async #replay(): Promise<JournalWriter> {
    const { context, journal, superblocks } = this.#first;
    const { reader, layout, log } = context;
    const owner = ownerOf(superblocks.chosen);
    for (const home of [...journal.copies.keys()].sort((a, b) => a - b)) {
      const { bytes } = await reader.raw(home);
      await this.#target.write(home * layout.blockBytes, bytes);
    }
    await this.#target.flush();
    reader.copies = new Map();
    const sequence = superblocks.isClean
      ? await unusedSequence(new BlockSource(this.#device), owner, journal)
      : journal.sequence;
    const writer = new JournalWriter(this.#target, owner, journal, sequence);
    await writer.writeHead();
    // Over the other head, too, if it is one that no reader should believe.
    if (log.countIn('journal') > 0) await writer.writeHead();
    return writer;
  }

  /**
   * Stage after stage until nothing is found, or nothing more is to be done.
   * @returns the last check
   */
  async #mend(journal: JournalWriter): Promise<CheckRun> {
    let run = this.#first;
    while (!isSound(run) && !this.#isRefused(run) && this.#rounds < MOST_ROUNDS) {
      await this.#round(run, journal);
      this.#rounds++;
      run = await runCheck(this.#device, this.#options, true);
      this.#remember(run);
    }
    return run;
  }

  async #round(run: CheckRun, journal: JournalWriter): Promise<void> {
    const { context, root, table } = run;
    // What came to light when something else was mended; the first round's was made right before.
    if (run !== this.#first && context.log.countIn('superblock') > 0)
      await beginRepair(this.#target, this.#device.sectorBytes, run, false);
    const changes = new RepairedBlocks(context.reader, this.#target, journal);
    const stage = nextStage(run);
    const { volumeRootBlock, backups, blockCount } = context.layout;
    const unsealed = [...context.log.badChecksums].filter(
      (block) => block >= volumeRootBlock && block < blockCount && !backups.includes(block),
    );
    if (unsealed.length > 0) {
      for (const block of unsealed) {
        await changes.edit(block);
        await changes.settle();
      }
    } else if (stage !== undefined) {
      const tries = this.#tries.get(stage) ?? 0;
      this.#tries.set(stage, tries + 1);
      const isCoarse = tries >= FINE_TRIES;
      const vacant = new VacantBlocks(context);
      await REPAIRS[stage]?.({ check: context, root, table, changes, vacant, isCoarse });
    }
    await changes.commit();
  }

  /**
   * Adds what a later check brought to light. That bitmaps and counts follow what was mended is no
   * news.
   */
  #remember({ result }: CheckRun): void {
    const isFirst = result === this.#first.result;
    if (isFirst) this.#problemCount = result.problemCount;
    for (const problem of result.problems) {
      const key = `${problem.code} ${problem.message}`;
      const isNews = isFirst || (problem.pass !== 'space' && PROBLEMS[problem.code].repair === 'ask');
      if (!isNews || this.#problems.has(key) || this.#problems.size >= MAX_KEPT_PROBLEMS) continue;
      this.#problems.set(key, problem);
      if (!isFirst) this.#problemCount++;
    }
  }

  #result(outcome: RepairOutcome, last: CheckRun): RepairResult {
    return {
      outcome,
      problems: [...this.#problems.values()],
      problemCount: this.#problemCount,
      after: last.result,
      replayed: outcome === 'refused' && this.#rounds === 0 ? 0 : this.#first.journal.transactions,
      orphans: this.#first.result.statistics.orphans,
      rounds: this.#rounds,
    };
  }
}

/** Nothing is wrong, and no work of a crash is left. */
function isSound({ context }: CheckRun): boolean {
  return context.log.count === 0 && context.links.listed.size === 0;
}

/** The lowest layer that needs work. Those of superblock and journal were mended at the start. */
function nextStage({ context }: CheckRun): Stage | undefined {
  const found = STAGES.find((stage) => REPAIRS[stage] !== undefined && context.log.countIn(stage) > 0);
  if (found !== undefined) return found;
  return context.links.listed.size > 0 ? 'links' : undefined;
}
