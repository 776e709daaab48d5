/** Workloads in which files grow beside each other: databases, logs, films. */
import { exponential, lognormal, wholeBetween } from '../distributions.ts';
import type { LabOperation } from '../operation.ts';
import { flatDirectories } from './directory-tree.ts';
import { type LabFile, Population } from './population.ts';
import { defineWorkload, type WorkloadPlace } from './workload.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

const TABLES = 12;
const PAGE = 8 * KIB;

/**
 * Tables grow by small appends that take turns, pages are overwritten in place, the log of changes
 * is written round and round, and now and then a table is written anew and takes the old one's
 * place.
 */
function* database(place: WorkloadPlace): Generator<LabOperation | 'filled'> {
  const population = new Population(place);
  const { random } = place;
  const [directory = 0] = yield* flatDirectories(population, 1);
  const [log, made] = population.create(directory);
  yield made;
  const logBytes = Math.min(64 * MIB, place.capacityBytes / 64);
  let tables: LabFile[] = [];
  for (let index = 0; index < TABLES; index++) {
    const [table, operation] = population.create(directory);
    yield operation;
    tables.push(table);
  }
  let filled = false;
  for (;;) {
    const table = random.pick(tables);
    // A checkpoint: what the log has gathered goes into the tables.
    yield log.sizeBytes < logBytes
      ? population.appendPiece(log, PAGE * wholeBetween(random, 1, 8))
      : population.truncate(log, 0);
    yield { kind: 'sync', file: log.number };
    const pages = wholeBetween(random, 1, 8);
    if (!filled || random.chance(0.5)) yield population.appendPiece(table, PAGE * pages);
    for (let page = 0; page < pages && table.sizeBytes > PAGE; page++) {
      const at = random.below(Math.floor(table.sizeBytes / PAGE)) * PAGE;
      yield population.overwrite(table, at, PAGE);
    }
    if (random.chance(0.05)) yield { kind: 'sync', file: table.number };
    if (!population.isFullFor(PAGE * 16)) continue;
    if (!filled) yield 'filled';
    filled = true;
    // The rows of the largest table that were deleted are left out of its copy.
    const largest = tables.reduce((one, other) => (other.sizeBytes > one.sizeBytes ? other : one));
    const copy = yield* population.createWhole(directory, Math.ceil((largest.sizeBytes * 0.4) / PAGE) * PAGE);
    yield population.replace(copy, largest);
    tables = tables.map((one) => (one === largest ? copy : one));
  }
}

const LOGS = 30;

/** Logs are appended to in turn; one that is long is written anew, packed, and removed. */
function* logs(place: WorkloadPlace): Generator<LabOperation | 'filled'> {
  const population = new Population(place);
  const { random } = place;
  const directories = yield* flatDirectories(population, 3);
  const rotateBytes = Math.max(MIB, Math.min(64 * MIB, place.capacityBytes / 256));
  const open: LabFile[] = [];
  const archive: LabFile[] = [];
  let filled = false;
  const directory = () => random.pick(directories);
  for (let index = 0; index < LOGS; index++) {
    const [file, made] = population.create(directory());
    yield made;
    open.push(file);
  }
  for (;;) {
    // Some speak much more than others.
    const index = Math.min(LOGS - 1, Math.floor(exponential(random, LOGS / 4)));
    const file = open[index];
    if (file === undefined) continue;
    yield population.appendPiece(file, wholeBetween(random, 1, 64) * KIB);
    if (file.sizeBytes >= rotateBytes) {
      archive.push(yield* population.createWhole(directory(), Math.ceil(file.sizeBytes / 6)));
      yield population.remove(file);
      const [fresh, made] = population.create(directory());
      yield made;
      open[index] = fresh;
    }
    while (population.isFullFor(MIB) && archive.length > 0) {
      if (!filled) yield 'filled';
      filled = true;
      const oldest = archive.shift();
      if (oldest !== undefined) yield population.remove(oldest);
    }
    if (random.chance(0.01)) yield { kind: 'wait', seconds: 1 };
  }
}

const CAMERAS = 4;

/** A few films at once, a mebibyte of each in turn; the oldest goes when the volume is full. */
function* video(place: WorkloadPlace): Generator<LabOperation | 'filled'> {
  const population = new Population(place);
  const { random } = place;
  const directories = yield* flatDirectories(population, CAMERAS);
  const mean = Math.min(1024 * MIB, place.capacityBytes / 40);
  const films: LabFile[] = [];
  const recording: { film: LabFile; endBytes: number }[] = [];
  let filled = false;
  for (;;) {
    for (let camera = 0; camera < CAMERAS; camera++) {
      const current = recording[camera];
      if (current === undefined || current.film.sizeBytes >= current.endBytes) {
        const [film, made] = population.create(directories[camera] ?? 0);
        yield made;
        films.push(film);
        recording[camera] = { film, endBytes: lognormal(random, Math.log(mean) - 0.3, 0.6) };
        continue;
      }
      while (population.isFullFor(MIB)) {
        if (!filled) yield 'filled';
        filled = true;
        const isRecorded = (film: LabFile) => recording.some((one) => one.film === film);
        const at = films.findIndex((film) => !isRecorded(film));
        const [oldest] = films.splice(at, 1);
        if (oldest !== undefined) yield population.remove(oldest);
      }
      yield population.appendPiece(current.film, MIB);
    }
  }
}

export const GROWING_WORKLOADS = [
  defineWorkload({
    name: 'database',
    says: 'tables that grow in turn, a log written round and round, tables written anew',
    source: 'the pattern of Jun and others, FAST 2024: one SQLite file in thousands of pieces',
    operations: database,
  }),
  defineWorkload({
    name: 'logs',
    says: 'thirty logs appended to in turn, packed, and removed',
    source: 'logrotate as distributions set it up',
    operations: logs,
  }),
  defineWorkload({
    name: 'video',
    says: 'four films written at once, the oldest removed; 95 % full',
    source: 'a recorder of cameras',
    fullness: 0.95,
    operations: video,
  }),
];
