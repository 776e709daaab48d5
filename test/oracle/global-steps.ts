/** Steps that look at everything, or take the caches away: they run alone. */

import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { someMasks } from './attribute-steps.ts';
import { checkExtended } from './extended-steps.ts';
import type { Inode } from './model.ts';
import {
  checkAttributes,
  checkDeadHandle,
  checkFile,
  checkHandle,
  checkListing,
  checkTarget,
  noteHandles,
  READ_WAYS,
} from './observe.ts';
import { Planner } from './planner.ts';
import type { Stage, Step } from './stage.ts';

export type Depth = 'some' | 'all';

function globalStep(text: string, perform: (stage: Stage) => Promise<void>): Step {
  return { text, worker: 0, claims: undefined, perform };
}

/** How thoroughly a file is read: each time in two ways, in random order. */
async function readFully(stage: Stage, planner: Planner, inode: Inode, path: string): Promise<void> {
  const ways = [...READ_WAYS];
  planner.random.shuffle(ways);
  for (const way of ways.slice(0, 2)) await checkFile(stage, planner.worker(), inode, path, way);
}

async function lookAt(
  stage: Stage,
  planner: Planner,
  inode: Inode,
  path: string,
  isSettled: boolean,
): Promise<void> {
  await checkAttributes(stage, planner.worker(), inode, path, someMasks(planner), isSettled);
  await checkExtended(stage, planner.worker(), inode, path);
  if (inode.kind === 'file') await readFully(stage, planner, inode, path);
  if (inode.kind === 'directory') await checkListing(stage, planner.worker(), inode, path);
  if (inode.kind === 'symlink') await checkTarget(stage, planner.worker(), inode, path);
  await checkAttributes(stage, planner.worker(), inode, path, someMasks(planner), isSettled);
}

/** Looks at named inodes in random order, by any of their names, and at those that are open. */
async function lookAround(stage: Stage, seed: number, depth: Depth, isSettled: boolean): Promise<void> {
  const planner = new Planner(new SeededRandom(seed), stage);
  const names = [...stage.model.names()];
  planner.random.shuffle(names);
  const chosen = depth === 'all' ? names : names.slice(0, 6);
  for (const [path, inode] of chosen) await lookAt(stage, planner, inode, path, isSettled);
  for (const held of stage.model.allHeld()) {
    await checkAttributes(stage, held.worker, held.inode, held, someMasks(planner), isSettled);
  }
}

/** Only attributes, of everything, with whatever is cached. */
async function statAll(stage: Stage, seed: number, isSettled: boolean): Promise<void> {
  const planner = new Planner(new SeededRandom(seed), stage);
  const names = [...stage.model.names()];
  planner.random.shuffle(names);
  for (const [path, inode] of names) {
    await checkAttributes(stage, planner.worker(), inode, path, someMasks(planner), isSettled);
  }
}

export function lookStep(seed: number, depth: Depth): Step {
  return globalStep(`look at ${depth}`, (stage) => lookAround(stage, seed, depth, false));
}

export function dropStep(): Step {
  return globalStep('drop caches', (stage) => stage.dropCaches(false));
}

/** Nothing is dirty any more: warm, cold and by handles it is the same, to the last block. */
export function settleStep(seed: number): Step {
  return globalStep('sync, look at all, drop caches, look at all', async (stage) => {
    await stage.settle();
    await statAll(stage, seed, true);
    await lookAround(stage, seed + 1, 'all', true);
    const withHandles = stage.compares('handle');
    if (withHandles) await noteHandles(stage);
    // Reading has moved times of access.
    await stage.settle();
    await stage.dropCaches(true);
    if (withHandles) await openHandles(stage, seed);
    await statAll(stage, seed + 2, true);
    await lookAround(stage, seed + 3, 'all', true);
  });
}

async function openHandles(stage: Stage, seed: number): Promise<void> {
  const planner = new Planner(new SeededRandom(seed), stage);
  const named = [...stage.model.named()];
  planner.random.shuffle(named);
  for (const [inode, path] of named.slice(0, 10)) await checkHandle(stage, planner.worker(), inode, path);
  const dead = [...stage.model.deadHandles];
  planner.random.shuffle(dead);
  for (const handle of dead.slice(0, 4)) await checkDeadHandle(stage, planner.worker(), handle);
}

/** The same from the disk, and the checker finds nothing. */
export function remountStep(seed: number): Step {
  return globalStep('sync, look at all, unmount, check, mount, look at all', async (stage) => {
    await stage.settle();
    await lookAround(stage, seed, 'all', true);
    await stage.closeAll();
    await stage.settle();
    await statAll(stage, seed + 1, true);
    await stage.mount.remount();
    stage.nothingIsCached();
    await statAll(stage, seed + 2, true);
    await lookAround(stage, seed + 3, 'all', true);
  });
}
