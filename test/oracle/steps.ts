/** The table of random steps, and how batches are made of them. */
import * as attributes from './attribute-steps.ts';
import * as contents from './content-steps.ts';
import * as extended from './extended-steps.ts';
import { dropStep, lookStep, remountStep, settleStep } from './global-steps.ts';
import * as names from './name-steps.ts';
import type { Planner } from './planner.ts';
import { race } from './race-steps.ts';
import * as ranges from './range-steps.ts';
import { ALONE, type Claims, type Step } from './stage.ts';

type Maker = (planner: Planner) => Step | undefined;

/** How often each comes, relative to the others. */
const MAKERS: [weight: number, maker: Maker][] = [
  [10, names.createFile],
  [5, names.makeNode],
  [4, names.link],
  [5, names.unlink],
  [1, names.rmdir],
  [5, names.rename],
  [1, names.createAgain],
  [1, names.changeProgram],
  [26, contents.write],
  [5, contents.openFile],
  [4, contents.closeFile],
  [4, contents.syncFile],
  [6, contents.truncate],
  [2, contents.map],
  [3, contents.store],
  [10, contents.read],
  [4, attributes.chmod],
  [3, attributes.chown],
  [4, extended.setAttribute],
  [2, extended.removeAttribute],
  [3, extended.setAcl],
  [5, attributes.utimens],
  [12, attributes.stat],
  [3, attributes.list],
  [5, ranges.changeRange],
  [3, ranges.copyRange],
  [3, ranges.seekAll],
  [2, race],
];
const TOTAL = MAKERS.reduce((sum, [weight]) => sum + weight, 0);

function makeStep(planner: Planner): Step | undefined {
  let at = planner.random.below(TOTAL);
  for (const [weight, maker] of MAKERS) {
    if (at < weight) return maker(planner);
    at -= weight;
  }
  return undefined;
}

function conflict(left: Claims, right: Claims): boolean {
  for (const [key, value] of left) {
    const other = right.get(key);
    if (other !== undefined && (value === ALONE || value !== other)) return true;
  }
  return false;
}

/** Steps that may run at the same time; one if it has to be alone. */
export function makeBatch(planner: Planner): Step[] {
  const batch: Step[] = [];
  const most = planner.random.chance(0.3) ? 1 : planner.stage.workers.length;
  for (let tries = 0; tries < 3 * most && batch.length < most; tries++) {
    const step = makeStep(planner);
    if (!step) continue;
    if (!step.claims) {
      if (batch.length === 0) return [step];
      continue;
    }
    if (fits(batch, step)) batch.push(step);
  }
  return batch;
}

function fits(batch: Step[], { worker, claims }: Step): boolean {
  return batch.every(
    (other) => other.worker !== worker && other.claims && claims && !conflict(other.claims, claims),
  );
}

/** Now and then something that looks at more than one inode. */
export function makeGlobal(planner: Planner): Step | undefined {
  const { random } = planner;
  const seed = random.uint32();
  if (random.chance(0.06)) return lookStep(seed, 'some');
  if (random.chance(0.03)) return dropStep();
  if (random.chance(0.012)) return settleStep(seed);
  return undefined;
}

export function lastStep(planner: Planner): Step {
  return remountStep(planner.random.uint32());
}
