/** Steps that change names: create, mkdir, symlink, mkfifo, link, rename, unlink, rmdir. */
import { constants } from 'node:fs';
import { pattern } from './content.ts';
import { type Inode, type Kind, type Model, NotApplicable } from './model.ts';
import { OTHER_USER, type Planner } from './planner.ts';
import {
  ALONE,
  type Claims,
  Difference,
  heldKey,
  PASSING_SLOT,
  ROOT_USER,
  type Stage,
  type Step,
} from './stage.ts';
import type { Answer } from './worker.ts';

const NO_REPLACE = 1;
const EXCHANGE = 2;
const EEXIST = 17;
const ENOTEMPTY = 39;

/** Names may change beside others of the same directory. */
export function nameClaims(model: Model, ...paths: string[]): Claims {
  const claims = new Map<string, string>();
  for (const path of paths) {
    claims.set(`inode ${model.place(path).directory.id}`, 'names');
    claims.set(`path ${path}`, ALONE);
    const inode = model.find(path);
    if (inode) claims.set(`inode ${inode.id}`, ALONE);
  }
  return claims;
}

/** The path is free and its directory there. @throws NotApplicable */
function demandFree(model: Model, path: string): void {
  model.place(path);
  if (model.find(path)) throw new NotApplicable(path);
}

function entered(stage: Stage, worker: number, path: string, inode: Inode, answer: Answer): void {
  stage.model.enter(path, inode, answer.window, stage.batch);
  stage.touch(worker, inode, stage.model.place(path).directory);
}

/** Makes an inode of any kind but a file. */
export function makeNode(planner: Planner): Step | undefined {
  const path = planner.newPath();
  if (path === undefined) return undefined;
  const worker = planner.worker();
  const kind: Kind = planner.random.pick(['directory', 'directory', 'symlink', 'fifo'] as const);
  const mode = kind === 'symlink' ? 0o777 : planner.random.pick([0o755, 0o777, 0o700, 0o775]);
  const target = `to/${'t'.repeat(planner.random.below(planner.random.chance(0.2) ? 2000 : 60))}`;
  const verb = { directory: 'mkdir', symlink: 'symlink', fifo: 'mkfifo' }[kind];
  const words = kind === 'symlink' ? [target, path] : [path, mode];
  return {
    text: `${verb} ${kind === 'symlink' ? `${path}, target of ${target.length} bytes` : `${path} 0${mode.toString(8)}`}`,
    worker,
    claims: nameClaims(planner.model, path),
    shapesTree: kind === 'directory',
    async perform(stage) {
      demandFree(stage.model, path);
      const answer = await stage.call(worker, ROOT_USER, verb, ...words);
      const inode = stage.model.make(kind, mode, ROOT_USER, answer.window, kind === 'symlink' ? target : '');
      entered(stage, worker, path, inode, answer);
    },
  };
}

/** Makes a file, and may leave it open. */
export function createFile(planner: Planner): Step | undefined {
  const path = planner.newPath();
  if (path === undefined) return undefined;
  const worker = planner.worker();
  const mode = planner.fileMode();
  const slot = freeSlot(planner, worker);
  const isHeld = slot !== undefined && planner.random.chance(0.4);
  const isDirect = planner.random.chance(0.3);
  const more = planner.random.pick([0, 0, 0, constants.O_SYNC, constants.O_DSYNC]);
  const flags =
    constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | more | (isDirect ? constants.O_DIRECT : 0);
  const place = isHeld ? slot : PASSING_SLOT;
  return {
    text: `create ${path} 0${mode.toString(8)} flags 0${flags.toString(8)}${isHeld ? ` held in slot ${slot}` : ''}`,
    worker,
    claims: new Map([...nameClaims(planner.model, path), [`slot ${worker}:${place}`, ALONE]]),
    async perform(stage) {
      demandFree(stage.model, path);
      const answer = await stage.open(worker, ROOT_USER, place, flags, path, mode);
      const inode = stage.model.make('file', mode, ROOT_USER, answer.window);
      entered(stage, worker, path, inode, answer);
      if (!isHeld) await stage.call(worker, ROOT_USER, 'close', place);
      else hold(stage, worker, place, inode, isDirect, false, path);
    },
  };
}

export function freeSlot(planner: Planner, worker: number): number | undefined {
  return [0, 1, 2, 3].find((slot) => !planner.model.held.has(heldKey(worker, slot)));
}

export function hold(
  stage: Stage,
  worker: number,
  slot: number,
  inode: Inode,
  isDirect: boolean,
  isAppend: boolean,
  path: string,
): void {
  const text = `slot ${slot} of worker ${worker} (opened as ${path})`;
  stage.model.held.set(heldKey(worker, slot), {
    worker,
    slot,
    inode,
    isDirect,
    isAppend,
    text,
    mappedBytes: 0,
  });
}

export function link(planner: Planner): Step | undefined {
  const from = planner.pick('file', 'symlink', 'fifo');
  const to = planner.newPath();
  if (!from || to === undefined) return undefined;
  const worker = planner.worker();
  return {
    text: `link ${from.path} ${to}`,
    worker,
    claims: nameClaims(planner.model, from.path, to),
    async perform(stage) {
      const inode = stage.model.at(from.path);
      if (inode.kind === 'directory') throw new NotApplicable(from.path);
      demandFree(stage.model, to);
      const answer = await stage.call(worker, ROOT_USER, 'link', from.path, to);
      inode.links++;
      inode.attributesChanged(answer.window, stage.batch);
      entered(stage, worker, to, inode, answer);
    },
  };
}

export function unlink(planner: Planner): Step | undefined {
  const found = planner.pick('file', 'symlink', 'fifo');
  if (!found) return undefined;
  const worker = planner.worker();
  const { path } = found;
  return {
    text: `unlink ${path}`,
    worker,
    claims: nameClaims(planner.model, path),
    async perform(stage) {
      const inode = stage.model.at(path);
      if (inode.kind === 'directory') throw new NotApplicable(path);
      const { directory } = stage.model.place(path);
      const answer = await stage.call(worker, ROOT_USER, 'unlink', path);
      stage.model.leave(path, answer.window, stage.batch);
      stage.model.unlinked(inode, answer.window, stage.batch);
      stage.touch(worker, inode, directory);
    },
  };
}

export function rmdir(planner: Planner): Step | undefined {
  const found = planner.pick('directory');
  if (!found) return undefined;
  const worker = planner.worker();
  const { path } = found;
  return {
    text: `rmdir ${path}`,
    worker,
    claims: undefined,
    async perform(stage) {
      const inode = stage.model.at(path, 'directory');
      const { directory } = stage.model.place(path);
      stage.touch(worker, inode, directory);
      if (inode.entries.size > 0) return await stage.refused(ENOTEMPTY, worker, 'rmdir', path);
      const answer = await stage.call(worker, ROOT_USER, 'rmdir', path);
      stage.model.leave(path, answer.window, stage.batch);
      stage.model.unlinked(inode, answer.window, stage.batch);
    },
  };
}

/**
 * Renames anything to anywhere: to a free name, over another inode, not over it, or in exchange.
 */
export function rename(planner: Planner): Step | undefined {
  const from = planner.pick();
  if (!from) return undefined;
  const to = planner.random.chance(0.4) ? planner.pick()?.path : planner.somePath();
  if (to === undefined) return undefined;
  const worker = planner.worker();
  const flags = planner.random.pick([0, 0, 0, NO_REPLACE, EXCHANGE]);
  const involved = [from.inode, planner.model.find(to)];
  const movesDirectory = involved.some((inode) => inode?.kind === 'directory');
  if (!isRenamable(planner.model, from.path, to, flags)) return undefined;
  return {
    text: `rename ${from.path} ${to}${['', ' without replacing', ' in exchange'][flags]}`,
    worker,
    claims: movesDirectory ? undefined : nameClaims(planner.model, from.path, to),
    shapesTree: movesDirectory,
    perform: (stage) => performRename(stage, worker, from.path, to, flags),
  };
}

/** Whether the kernel lets it through, or answers EEXIST, which is played as well. */
function isRenamable(model: Model, from: string, to: string, flags: number): boolean {
  const [source, target] = [model.find(from), model.find(to)];
  if (!source || to.startsWith(`${from}/`) || from.startsWith(`${to}/`)) return false;
  if (flags === NO_REPLACE) return true;
  if (flags === EXCHANGE) return target !== undefined;
  if (!target) return true;
  if ((source.kind === 'directory') !== (target.kind === 'directory')) return false;
  return target.entries.size === 0;
}

async function performRename(
  stage: Stage,
  worker: number,
  from: string,
  to: string,
  flags: number,
): Promise<void> {
  const { model } = stage;
  const source = model.at(from);
  const target = model.find(to);
  model.place(to);
  if (!isRenamable(model, from, to, flags)) throw new NotApplicable(`${from} to ${to}`);
  stage.touch(
    worker,
    source,
    model.place(from).directory,
    model.place(to).directory,
    ...(target ? [target] : []),
  );
  if (flags === NO_REPLACE && target) return await stage.refused(EEXIST, worker, 'rename', from, to, flags);
  const { window } = await stage.call(worker, ROOT_USER, 'rename', from, to, flags);
  if (source === target) return;
  model.leave(from, window, stage.batch);
  if (target) model.leave(to, window, stage.batch);
  model.enter(to, source, window, stage.batch);
  source.attributesChanged(window, stage.batch);
  if (!target) return;
  if (flags !== EXCHANGE) return model.unlinked(target, window, stage.batch);
  model.enter(from, target, window, stage.batch);
  target.attributesChanged(window, stage.batch);
}

/** A name that is there cannot be made again. */
export function createAgain(planner: Planner): Step | undefined {
  const found = planner.pick();
  if (!found) return undefined;
  const worker = planner.worker();
  const { path } = found;
  return {
    text: `mkdir ${path}, which is there`,
    worker,
    claims: nameClaims(planner.model, path),
    async perform(stage) {
      stage.touch(worker, stage.model.at(path));
      await stage.refused(EEXIST, worker, 'mkdir', path, 0o755);
    },
  };
}

/**
 * Somebody runs a set-user-id program, changes it, and runs it again: it has lost what it was
 * trusted with.
 */
export function changeProgram(planner: Planner): Step | undefined {
  const path = planner.newPath();
  if (path === undefined || !planner.stage.compares('set-id')) return undefined;
  if (!planner.model.reaches(path, OTHER_USER)) return undefined;
  const worker = planner.worker();
  const flags = constants.O_WRONLY | planner.random.pick([0, 0, constants.O_SYNC, constants.O_DIRECT]);
  const number = planner.nextWrite();
  return {
    text: `install program ${path} 04777, run it, overwrite its end as user 1000 with flags 0${flags.toString(8)}, run it`,
    worker,
    claims: undefined,
    async perform(stage) {
      demandFree(stage.model, path);
      await performProgram(stage, worker, path, flags, number);
    },
  };
}

async function performProgram(
  stage: Stage,
  worker: number,
  path: string,
  flags: number,
  number: number,
): Promise<void> {
  const installed = await stage.call(worker, ROOT_USER, 'install', path);
  const bytes = stage.worker(worker).take(Number(installed.words[0]));
  const inode = stage.model.make('file', 0o755, ROOT_USER, installed.window);
  inode.content.write(0, bytes);
  entered(stage, worker, path, inode, installed);
  inode.contentChanged(installed.window, stage.batch);
  const { window } = await stage.call(worker, ROOT_USER, 'chmod', path, 0o4777);
  inode.mode = 0o4777;
  inode.attributesChanged(window, stage.batch);
  await runAs(stage, worker, inode, path, '0');
  const end = Math.ceil(bytes.length / 512) * 512;
  const data = pattern(number, end, 512);
  await stage.open(worker, OTHER_USER, PASSING_SLOT, flags, path);
  stage.worker(worker).put(data);
  const written = await stage.call(worker, OTHER_USER, 'write', PASSING_SLOT, 'buffered', end, 512, 0);
  await stage.call(worker, ROOT_USER, 'close', PASSING_SLOT);
  inode.content.write(end, data);
  inode.contentChanged(written.window, stage.batch);
  inode.dropSetIds(OTHER_USER);
  await runAs(stage, worker, inode, path, '1000');
}

async function runAs(
  stage: Stage,
  worker: number,
  inode: Inode,
  path: string,
  expected: string,
): Promise<void> {
  const { window, words } = await stage.call(worker, OTHER_USER, 'run', path);
  inode.wasRead(stage.mount.accessRule, window, stage.batch, false);
  if (words[0] === expected) return;
  throw new Difference('set-id', `${path}: runs as user ${words[0]}, must be ${expected}`, inode);
}
