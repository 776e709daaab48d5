/**
 * What random steps are made from: a source of numbers, the model as it is before the batch, and
 * picks from both.
 *
 * Every pick may find nothing; a step is not made then.
 */
import type { SeededRandom } from '../../src/sim/seeded-random.ts';
import { MOST_BYTES } from './content.ts';
import type { Held, Inode, Kind, Model } from './model.ts';
import { ROOT_USER, type Stage } from './stage.ts';
import type { User } from './worker.ts';

export const OTHER_USER: User = { uid: 1000, gid: 1000 };
const MOST_DEPTH = 3;
const MOST_NAMES = 60;
/** Ends of files and writes are near these more often than not. */
const EDGES = [336, 512, 1024, 4096, 8192, 65_536, 131_072, 262_144];

export interface Named {
  readonly path: string;
  readonly inode: Inode;
}

export class Planner {
  readonly random: SeededRandom;
  readonly stage: Stage;
  /** Numbers the writes, and makes their patterns. */
  #writes = 0;

  constructor(random: SeededRandom, stage: Stage) {
    this.random = random;
    this.stage = stage;
  }

  get model(): Model {
    return this.stage.model;
  }

  nextWrite(): number {
    return ++this.#writes;
  }

  worker(): number {
    return this.random.below(this.stage.workers.length);
  }

  pickFrom<T>(items: readonly T[]): T | undefined {
    return items.length > 0 ? this.random.pick(items) : undefined;
  }

  /** A name with an inode of that kind; never the root. */
  pick(...kinds: Kind[]): Named | undefined {
    const found: Named[] = [];
    for (const [path, inode] of this.model.names()) {
      if (path && (kinds.length === 0 || kinds.includes(inode.kind))) found.push({ path, inode });
    }
    return this.pickFrom(found);
  }

  pickHeld(fits: (held: Held) => boolean = () => true): Held | undefined {
    return this.pickFrom(this.model.allHeld().filter(fits));
  }

  isFull(): boolean {
    let names = 0;
    for (const _ of this.model.names()) names++;
    return names >= MOST_NAMES;
  }

  /** A path that may be new or not; the directory is there. */
  somePath(): string {
    const directories = [...this.model.names()].filter(
      ([path, { kind }]) => kind === 'directory' && path.split('/').length < MOST_DEPTH,
    );
    const directory = this.random.pick(directories)[0];
    const name =
      'abcdefghijkl'.charAt(this.random.below(12)) + (this.random.chance(0.1) ? 'x'.repeat(120) : '');
    return directory ? `${directory}/${name}` : name;
  }

  newPath(): string | undefined {
    const path = this.somePath();
    return this.model.find(path) || this.isFull() ? undefined : path;
  }

  /** Who does it: root, or another where that is allowed. */
  user(mayBeOther: boolean): User {
    return mayBeOther && this.random.chance(0.3) ? OTHER_USER : ROOT_USER;
  }

  length(): number {
    const { random } = this;
    if (random.chance(0.25)) return 1 + random.below(400);
    if (random.chance(0.5)) return Math.max(1, random.pick(EDGES) + random.below(3) - 1);
    return 1 + random.below(random.chance(0.3) ? 300_000 : 20_000);
  }

  /** A place in a file or a little behind it. @param unit it is a multiple of this */
  offset(size: number, length: number, unit: number): number {
    const { random } = this;
    const around = random.chance(0.4) ? size : random.below(size + 1);
    const offset = random.chance(0.15) ? around + random.below(100_000) : around;
    const most = MOST_BYTES - Math.ceil(length / unit) * unit;
    return Math.max(0, Math.floor(Math.min(offset, most) / unit) * unit);
  }

  newSize(size: number): number {
    const { random } = this;
    if (random.chance(0.15)) return 0;
    if (random.chance(0.4)) return random.below(size + 1);
    if (random.chance(0.5)) return Math.max(0, random.pick(EDGES) + random.below(3) - 1);
    return Math.min(MOST_BYTES, size + random.below(200_000));
  }

  fileMode(): number {
    const modes = [0o644, 0o666, 0o600, 0o755, 0o777, 0o640, 0o000];
    const withBits = [0o4755, 0o4777, 0o2777, 0o6777, 0o2767, 0o2666, 0o4666, 0o6755];
    const isPlain = !this.stage.compares('set-id') || this.random.chance(0.6);
    return this.random.pick(isPlain ? modes : withBits);
  }
}
