/**
 * A long random mixture of operations, some of them under way at once, with syncs now and then:
 * those waited for and those in the background while more happens.
 */
import { FileFlag } from '../../src/fs/base/filesystem.ts';
import type { SeededRandom } from '../../src/sim/seeded-random.ts';
import type { NodeKind } from './model.ts';
import { fill } from './operations.ts';
import type { Recorder } from './recorder.ts';

const MOST_NODES = 24;
const STEPS = 90;

class RandomWorkload {
  #counter = 0;
  #syncing: Promise<void> = Promise.resolve();

  constructor(
    readonly recorder: Recorder,
    readonly random: SeededRandom,
    readonly options: RandomOptions,
  ) {}

  /** Is it the turn of what not all workloads do? */
  #isTurn(probability: number): boolean {
    return this.options.withInodes && this.random.chance(probability);
  }

  #paths(kind?: NodeKind): string[] {
    const { names } = this.recorder.model;
    return [...names].filter(([, node]) => kind === undefined || node.kind === kind).map(([path]) => path);
  }

  #file(): string | undefined {
    const files = this.#paths('file');
    return files.length > 0 ? this.random.pick(files) : undefined;
  }

  /** Any path but the root. */
  #any(): string | undefined {
    const paths = this.#paths().filter((path) => path !== '');
    return paths.length > 0 ? this.random.pick(paths) : undefined;
  }

  #newPath(): string {
    const long = this.random.chance(0.2) ? 'x'.repeat(1 + this.random.below(120)) : '';
    return `${this.random.pick(this.#paths('directory'))}/${this.#counter++}${long}`;
  }

  async step(): Promise<unknown> {
    const { random, recorder } = this;
    if (recorder.model.names.size > MOST_NODES) return this.#remove();
    const { withDiscard, withRanges, withQuotas } = this.options;
    if (withDiscard && random.chance(0.03)) return this.#trim();
    if (withRanges && random.chance(0.12)) return random.chance(0.5) ? this.#copy() : this.#shift();
    if (withQuotas && random.chance(0.15)) return random.chance(0.7) ? this.#give() : this.#limit();
    const dice = random.below(100);
    if (dice < 10) return recorder.create(this.#newPath());
    if (dice < 14) return recorder.mkdir(this.#newPath());
    if (dice < 20) return this.#symlink();
    if (dice < 23) return this.#link();
    if (dice < 35) return this.#remove();
    if (dice < 43) return this.#rename();
    if (dice < 45) return this.#chmod();
    if (dice < 71) return this.#write();
    if (dice < 78) return this.#truncate();
    if (dice < 81) return this.#fallocate();
    if (dice < 87) return recorder.sync(dice % 2 === 0);
    if (dice < 90) return this.#defragment();
    if (dice < 94) return this.#syncInBackground();
    if (dice < 96) return this.#metadataBecomesData();
    if (dice < 97) return this.#attribute();
    if (dice < 98) return recorder.grow(random.pick([30, 300, 9000]) * 1024);
    return this.#freedIsUsedAgain();
  }

  /** Of a part of the volume: each sector is one more that a state may have or not. */
  #trim(): Promise<number> {
    const { recorder, random } = this;
    const { blockBytes, layout } = recorder.volume;
    const start = random.below(layout.blockCount);
    return recorder.trim(start * blockBytes, (1 + random.below(60)) * blockBytes);
  }

  async #attribute(): Promise<void> {
    const { random, recorder } = this;
    const path = this.#any();
    if (path === undefined) return;
    for (let i = 0; i < 4; i++) {
      const number = random.below(3);
      if (random.chance(0.3)) await recorder.removeAttribute(path, `user.${number}`);
      else await this.#setAttribute(path, number, random.pick([0, 20, 200, 1000, 2500]));
      if (random.chance(0.2)) await recorder.sync();
    }
  }

  async #setAttribute(path: string, number: number, lengthBytes: number): Promise<void> {
    if (number === 2)
      await this.recorder.setAcl(path, lengthBytes < 1000 ? 'access' : 'default', lengthBytes / 20);
    else await this.recorder.setAttribute(path, `user.${number}`, lengthBytes);
  }

  /** Sometimes of a file that was made to lie in pieces. */
  async #defragment(): Promise<void> {
    const { recorder, random } = this;
    const path = this.#file();
    if (path === undefined) return;
    if (random.chance(0.5) && !recorder.isTruncating(path)) await this.#weave(path);
    await recorder.defragment(path);
  }

  /** The file and another one grow in turn. */
  async #weave(path: string): Promise<void> {
    const { recorder, random } = this;
    const other = this.#newPath();
    const { blockBytes } = recorder.volume;
    const size = recorder.model.largestSize(recorder.model.get(path).id);
    await recorder.create(other);
    for (let i = 0; i < 5; i++) {
      for (const [grown, from] of [
        [path, size],
        [other, 0],
      ] as const)
        if (!recorder.isTruncating(grown)) await recorder.write(grown, from + i * blockBytes, blockBytes);
      if (random.chance(0.2)) await recorder.sync();
    }
    if (random.chance(0.5)) await recorder.unlink(other);
  }

  /** Mostly so long that it takes a metadata block of its own. */
  async #symlink(): Promise<void> {
    const length = 1 + this.random.below(this.random.pick([50, 1500, 1500]));
    await this.recorder.symlink('t'.repeat(length), this.#newPath());
  }

  /**
   * Blocks that are in the journal as metadata, and maybe on their way home, are freed and get
   * data.
   */
  async #metadataBecomesData(): Promise<void> {
    const { recorder, random } = this;
    const paths = Array.from({ length: random.pick([1, 1, 5]) }, () => this.#newPath());
    for (const path of paths) await recorder.symlink('t'.repeat(1500), path);
    if (random.chance(0.7)) await recorder.sync();
    for (const path of paths) await recorder.unlink(path);
    if (random.chance(0.8)) await recorder.sync();
    await this.#write();
    if (paths.length > 1) await this.#write();
    await recorder.sync();
  }

  /** Blocks of a file are freed, and wanted again while the commit that frees them is under way. */
  async #freedIsUsedAgain(): Promise<void> {
    const path = this.#file();
    if (path === undefined || !this.recorder.isQuiet(path)) return;
    if (this.random.chance(0.5)) await this.recorder.sync();
    if (this.random.chance(0.5)) await this.recorder.unlink(path);
    else await this.recorder.truncate(path, 0);
    await this.#syncInBackground();
    await this.#write();
  }

  async #link(): Promise<void> {
    const from = this.#file();
    if (this.#isTurn(0.3)) await this.recorder.linkUnnamed(this.#newPath(), 1 + this.random.below(9000));
    else if (from !== undefined) await this.recorder.link(from, this.#newPath());
  }

  async #chmod(): Promise<void> {
    const path = this.#any();
    if (path !== undefined && this.#isTurn(0.4)) {
      await this.recorder.setFlags(path, this.random.pick([0, FileFlag.noDump, FileFlag.noAccessTime]));
    } else if (path !== undefined && this.recorder.model.get(path).kind !== 'symlink') {
      await this.recorder.chmod(path, this.random.pick([0o600, 0o700, 0o755]));
    }
  }

  async #remove(): Promise<void> {
    const path = this.#any();
    if (path === undefined) return;
    const { recorder } = this;
    if (recorder.model.get(path).kind === 'directory') {
      if (recorder.model.isEmpty(path)) await recorder.rmdir(path);
    } else if (recorder.model.get(path).kind === 'file' && this.random.chance(0.2)) {
      const letGo = await recorder.unlinkHeld(path);
      if (this.random.chance(0.7)) letGo();
    } else await recorder.unlink(path);
  }

  async #rename(): Promise<void> {
    const from = this.#any();
    if (from === undefined) return;
    const other = this.random.chance(0.4) ? this.#any() : undefined;
    if (other === undefined && this.#isTurn(0.2)) await this.recorder.whiteOut(from, this.#newPath());
    else if (other === undefined) await this.recorder.rename(from, this.#newPath());
    else if (this.random.chance(0.3)) await this.recorder.exchange(from, other);
    else await this.recorder.rename(from, other);
  }

  async #write(): Promise<void> {
    const path = this.#file();
    if (path === undefined || this.recorder.isTruncating(path)) return;
    const { recorder, random } = this;
    const { blockBytes } = recorder.volume;
    const size = recorder.model.largestSize(recorder.model.get(path).id);
    const length = 1 + random.below(random.pick([80, 700, 3 * blockBytes, 14 * blockBytes]));
    const start = random.pick([size, random.below(size + 1), 0, random.below(20) * blockBytes]);
    await recorder.write(path, start, length, {
      early: random.chance(0.4),
      keepTimes: random.chance(0.4),
    });
  }

  async #truncate(): Promise<void> {
    const path = this.#file();
    if (path === undefined || !this.recorder.isQuiet(path)) return;
    const { recorder, random } = this;
    const size = recorder.model.largestSize(recorder.model.get(path).id);
    const sizeBytes = random.pick([0, random.below(100), random.below(size + 1), size + random.below(9000)]);
    await recorder.truncate(path, sizeBytes);
  }

  async #fallocate(): Promise<void> {
    const path = this.#file();
    if (path === undefined || this.recorder.isTruncating(path)) return;
    const { recorder, random } = this;
    const { blockBytes } = recorder.volume;
    const size = recorder.model.largestSize(recorder.model.get(path).id);
    const offset = random.pick([0, random.below(size + 1), random.below(20) * blockBytes]);
    const length = 1 + random.below(random.pick([200, 3 * blockBytes, 14 * blockBytes]));
    const dice = random.below(5);
    if (dice === 0) await recorder.keepSpace(path, offset, length);
    else if (dice === 1) await recorder.preallocate(path, length);
    else await recorder.clear(path, random.pick(['punch', 'zero'] as const), offset, length);
  }

  /** From one file to another, or within one. */
  async #copy(): Promise<void> {
    const { recorder, random } = this;
    const [path, to] = [this.#file(), this.#file()];
    if (path === undefined || to === undefined || !recorder.isQuiet(path) || !recorder.isQuiet(to)) return;
    const size = (of: string) => recorder.model.largestSize(recorder.model.get(of).id);
    const offsetBytes = random.pick([0, 0, random.below(size(path) + 1)]);
    const lengthBytes = 1 + random.below(random.pick([700, 9000, 40_000]));
    const toBytes = random.pick([0, size(to), random.below(size(to) + 3000)]);
    await recorder.copy({ path, offsetBytes, lengthBytes }, to, toBytes);
  }

  async #shift(): Promise<void> {
    const { recorder, random } = this;
    const path = this.#file();
    if (path === undefined || !recorder.isQuiet(path)) return;
    const { blockBytes } = recorder.volume;
    const blocks = Math.ceil(recorder.model.largestSize(recorder.model.get(path).id) / blockBytes);
    const action = random.pick(['collapse', 'insert'] as const);
    const length = (1 + random.below(4)) * blockBytes;
    await recorder.shift(path, action, random.below(blocks + 1) * blockBytes, length);
  }

  /** To one of few, or to one of many, who then need records of their own. */
  async #give(): Promise<void> {
    const { recorder, random } = this;
    const path = this.#any();
    if (path !== undefined) await recorder.give(path, random.below(random.pick([3, 3, 10_000])));
  }

  async #limit(): Promise<void> {
    const { recorder, random } = this;
    await recorder.limit(1 + random.below(40), random.pick([0, 5, 500]));
  }

  /** A commit that goes on while more happens. */
  #syncInBackground(): Promise<void> {
    this.#syncing = Promise.all([this.#syncing, this.recorder.sync()]).then(() => {});
    return Promise.resolve();
  }

  settled(): Promise<void> {
    return this.#syncing;
  }
}

/** What not all random workloads do: the others stay what they were. */
export interface RandomOptions {
  /** Also files made without a name, whiteouts and flags. */
  readonly withInodes: boolean;
  /** Also FITRIM. */
  readonly withDiscard: boolean;
  /** Also copies from file to file, and ranges taken out and put in. */
  readonly withRanges: boolean;
  /** Also other owners, and limits. */
  readonly withQuotas: boolean;
}

export async function runRandom(
  recorder: Recorder,
  random: SeededRandom,
  options: RandomOptions,
): Promise<void> {
  const workload = new RandomWorkload(recorder, random, options);
  const width = random.pick([1, 2, 4]);
  if (random.chance(0.6)) await fill(recorder, random.pick([5, 10, 20]));
  let left = STEPS;
  while (left > 0) {
    const together = Math.min(left, 1 + random.below(width));
    left -= together;
    const steps: Promise<unknown>[] = [];
    for (let i = 0; i < together; i++) steps.push(workload.step());
    await Promise.all(steps);
  }
  await workload.settled();
  if (random.chance(0.5)) await recorder.unmount();
}
