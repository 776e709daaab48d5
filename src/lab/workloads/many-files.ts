/**
 * Workloads of many files: mail, file and web servers, repositories, builds, a busy server's years.
 */
import { exponential, lognormal } from '../distributions.ts';
import type { LabOperation } from '../operation.ts';
import { flatDirectories } from './directory-tree.ts';
import { type LabFile, Population } from './population.ts';
import { defineWorkload, type WorkloadPlace } from './workload.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Who appends in turn: a file each, until it has its size. */
class Writers {
  readonly #tasks: { file: LabFile; endBytes: number }[] = [];

  constructor(
    readonly population: Population,
    readonly count: number,
    readonly syncs = false,
  ) {}

  get isBusy(): boolean {
    return this.#tasks.length >= this.count;
  }

  add(file: LabFile, endBytes: number): void {
    this.#tasks.push({ file, endBytes });
  }

  /** A piece of what one of them has to write; closed if it was the last. */
  *step(pieceBytes: number): Generator<LabOperation> {
    const at = this.population.place.random.below(Math.max(1, this.#tasks.length));
    const task = this.#tasks[at];
    if (task === undefined) return;
    const left = task.endBytes - task.file.sizeBytes;
    yield this.population.appendPiece(task.file, Math.max(1, Math.min(left, pieceBytes)));
    if (this.syncs) yield { kind: 'sync', file: task.file.number };
    if (left > pieceBytes) return;
    this.#tasks.splice(at, 1);
    yield this.population.close(task.file);
  }

  isWriting(file: LabFile): boolean {
    return this.#tasks.some((task) => task.file === file);
  }
}

interface ServerKind {
  readonly directories: number;
  readonly writers: number;
  readonly meanBytes: number;
  readonly sigma: number;
  /** How much is appended to a file that is there, and how often instead of a new file. */
  readonly appendBytes: number;
  readonly appendChance: number;
  readonly syncs: boolean;
}

/** Files made, appended to and removed at random, by some writers at once. */
function* server(place: WorkloadPlace, kind: ServerKind): Generator<LabOperation | 'filled'> {
  const population = new Population(place);
  const { random } = place;
  const directories = yield* flatDirectories(population, kind.directories);
  const writers = new Writers(population, kind.writers, kind.syncs);
  const mu = Math.log(kind.meanBytes) - kind.sigma ** 2 / 2;
  const largest = Math.floor(place.capacityBytes / 50);
  let filled = false;
  for (;;) {
    while (!writers.isBusy) {
      if (population.live.length > 0 && random.chance(kind.appendChance)) {
        const file = population.any();
        if (writers.isWriting(file)) continue;
        writers.add(file, file.sizeBytes + Math.max(1, Math.round(exponential(random, kind.appendBytes))));
        continue;
      }
      const [file, made] = population.create(random.pick(directories));
      yield made;
      writers.add(file, Math.max(1, Math.min(largest, Math.round(lognormal(random, mu, kind.sigma)))));
    }
    yield* writers.step(64 * KIB);
    while (population.isFullFor(largest)) {
      if (!filled) yield 'filled';
      filled = true;
      const file = population.any();
      if (!writers.isWriting(file)) yield population.remove(file);
    }
  }
}

const FILES_OF_REPOSITORY = 20_000;

/**
 * Repositories: each pull writes some files anew, makes some and removes some, and adds a pack;
 * after many pulls the packs become one.
 */
function* git(place: WorkloadPlace): Generator<LabOperation | 'filled'> {
  const population = new Population(place);
  const { random } = place;
  const fileBytes = () => Math.max(1, Math.round(lognormal(random, Math.log(5 * KIB), 1.4)));
  /** For packs. */
  const spareBytes = Math.min(16 * MIB, place.capacityBytes / 30);
  const repositories: { directories: readonly number[]; files: LabFile[]; packs: LabFile[] }[] = [];
  while (!population.isFullFor(spareBytes)) {
    const directories = yield* flatDirectories(population, 100);
    const files: LabFile[] = [];
    for (let made = 0; made < FILES_OF_REPOSITORY && !population.isFullFor(spareBytes); made++) {
      files.push(yield* population.createWhole(random.pick(directories), fileBytes()));
    }
    repositories.push({ directories, files, packs: [] });
  }
  yield 'filled';
  for (;;) {
    const { directories, files, packs } = random.pick(repositories);
    const [packDirectory = 0] = directories;
    const changed = Math.max(1, Math.min(files.length, Math.round(exponential(random, files.length / 50))));
    packs.push(yield* population.createWhole(packDirectory, changed * 2 * KIB));
    for (let index = 0; index < changed; index++) {
      const at = random.below(files.length);
      const old = files[at];
      if (old === undefined) continue;
      // git removes the old file and writes the new one under its name.
      yield population.remove(old);
      files[at] = yield* population.createWhole(
        random.chance(0.95) ? old.directory : random.pick(directories),
        fileBytes(),
      );
    }
    if (packs.length > 50 || population.isFullFor(0)) {
      const bytes = packs.reduce((sum, pack) => sum + pack.sizeBytes, 0);
      const whole = yield* population.createWhole(packDirectory, Math.ceil(bytes * 0.3));
      for (const pack of packs.splice(0)) yield population.remove(pack);
      packs.push(whole);
      if (population.isFullFor(0)) yield population.remove(packs.pop() ?? whole);
    }
    yield { kind: 'wait', seconds: 30 };
  }
}

/** A source tree that stays, and what is made of it, again and again, by four compilers at once. */
function* build(place: WorkloadPlace): Generator<LabOperation | 'filled'> {
  const population = new Population(place);
  const { random } = place;
  const sourceBytes = () => Math.max(1, Math.round(lognormal(random, Math.log(8 * KIB), 1.2)));
  const directories = yield* flatDirectories(population, 200);
  const sources: LabFile[] = [];
  while (population.usedBytes < population.targetBytes * 0.6) {
    sources.push(yield* population.createWhole(random.pick(directories), sourceBytes()));
  }
  let filled = false;
  for (;;) {
    const writers = new Writers(population, 4);
    const made: LabFile[] = [];
    const edited = sources.length / 100;
    for (let index = 0; index < edited; index++) {
      const at = random.below(sources.length);
      const old = sources[at];
      if (old === undefined) continue;
      // An editor writes beside the file and renames.
      const copy = yield* population.createWhole(old.directory, sourceBytes());
      yield population.replace(copy, old);
      sources[at] = copy;
    }
    while (!population.isFullFor(2 * MIB)) {
      while (!writers.isBusy) {
        const [object, created] = population.create(random.pick(directories));
        yield created;
        made.push(object);
        const isLibrary = random.chance(0.01);
        writers.add(
          object,
          isLibrary ? 1 + random.below(8 * MIB) : Math.ceil(lognormal(random, Math.log(30 * KIB), 1)),
        );
      }
      yield* writers.step(32 * KIB);
    }
    if (!filled) yield 'filled';
    filled = true;
    for (const object of made) yield population.remove(object);
    yield { kind: 'wait', seconds: 60 };
  }
}

const GROUPS = 27;

/**
 * The days of a file server in which the volume fills up: most of what a day brings is gone with
 * the next, some stays, and the work of a day is in few groups of directories.
 */
function* ffsYears(place: WorkloadPlace): Generator<LabOperation | 'filled'> {
  const population = new Population(place);
  const { random } = place;
  const directories = yield* flatDirectories(population, GROUPS * 8);
  const largest = Math.floor(place.capacityBytes / 50);
  let filled = false;
  for (;;) {
    const group = random.below(GROUPS);
    const dayBytes = place.capacityBytes / 50;
    const short: LabFile[] = [];
    for (let bytes = 0; bytes < dayBytes; ) {
      const inGroup = random.chance(0.7) ? group : random.below(GROUPS);
      const directory = directories[inGroup * 8 + random.below(8)] ?? 0;
      const sizeBytes = Math.max(1, Math.min(largest, Math.round(lognormal(random, Math.log(6 * KIB), 2.2))));
      while (population.isFullFor(sizeBytes)) {
        if (!filled) yield 'filled';
        filled = true;
        const file = population.any();
        const at = short.indexOf(file);
        if (at >= 0) short.splice(at, 1);
        yield population.remove(file);
      }
      const file = yield* population.createWhole(directory, sizeBytes);
      bytes += sizeBytes;
      if (random.chance(0.7)) short.push(file);
      if (short.length > 100) {
        const [gone] = short.splice(random.below(short.length), 1);
        if (gone !== undefined) yield population.remove(gone);
      }
    }
    for (const file of short) yield population.remove(file);
    yield { kind: 'wait', seconds: 3600 };
  }
}

/**
 * Sizes that double from round to round, and of the files of the last size every second one gone
 * before: what Robson's worst case for first-fit and for buddies does, as far as a workload can
 * that does not see where its files are.
 */
function* adversary(place: WorkloadPlace): Generator<LabOperation | 'filled'> {
  const population = new Population(place);
  const [directory = 0] = yield* flatDirectories(population, 1);
  const { blockBytes, random } = place;
  const largest = Math.max(blockBytes, Math.floor(place.capacityBytes / 256));
  let filled = false;
  for (;;) {
    let files: LabFile[] = [];
    for (let sizeBytes = blockBytes; sizeBytes <= largest; sizeBytes *= 2) {
      const bytes = sizeBytes - (random.chance(0.5) ? blockBytes / 2 : 0);
      while (!population.isFullFor(sizeBytes)) files.push(yield* population.createWhole(directory, bytes));
      if (!filled) yield 'filled';
      filled = true;
      for (const file of files.filter((_, index) => index % 2 === 0)) yield population.remove(file);
      files = files.filter((_, index) => index % 2 === 1);
    }
    while (population.live.length > 0) yield population.remove(population.any());
  }
}

export const MANY_FILE_WORKLOADS = [
  defineWorkload({
    name: 'mail',
    says: 'small files written and synced, appended to, and removed, by sixteen at once',
    source: "Filebench's varmail: files of 16 KiB in the mean",
    operations: (place) =>
      server(place, {
        directories: 100,
        writers: 16,
        meanBytes: 16 * KIB,
        sigma: 1,
        appendBytes: 16 * KIB,
        appendChance: 0.5,
        syncs: true,
      }),
  }),
  defineWorkload({
    name: 'files',
    says: 'files written, appended to, and removed, by fifty at once',
    source: "Filebench's fileserver: files of 128 KiB in the mean, appends of 16 KiB",
    operations: (place) =>
      server(place, {
        directories: 500,
        writers: 50,
        meanBytes: 128 * KIB,
        sigma: 1.2,
        appendBytes: 16 * KIB,
        appendChance: 0.5,
        syncs: false,
      }),
  }),
  defineWorkload({
    name: 'web',
    says: 'small files put up and taken down, few of them appended to',
    source: "Filebench's webserver: files of 16 KiB in the mean",
    operations: (place) =>
      server(place, {
        directories: 200,
        writers: 2,
        meanBytes: 16 * KIB,
        sigma: 1.3,
        appendBytes: 16 * KIB,
        appendChance: 0.05,
        syncs: false,
      }),
  }),
  defineWorkload({
    name: 'git',
    says: 'pulls: files of a tree written anew, packs added and packed again',
    source: 'Conway and others: File systems fated for senescence?, FAST 2017',
    operations: git,
  }),
  defineWorkload({
    name: 'build',
    says: 'a source tree that stays; what is built of it is removed and built again',
    source: 'object files of 30 KiB in the median, four compilers',
    operations: build,
  }),
  defineWorkload({
    name: 'ffs-years',
    says: 'days of a file server: most files live for a day, in few groups of directories',
    source: 'Smith, Seltzer: File system aging, SIGMETRICS 1997',
    fullness: 0.8,
    operations: ffsYears,
  }),
  defineWorkload({
    name: 'adversary',
    says: 'sizes that double while every second file goes',
    source: 'Robson: Bounds for some functions concerning dynamic storage allocation, 1974',
    operations: adversary,
  }),
];
