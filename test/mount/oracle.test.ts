/**
 * The attribute and content oracle: random work of several processes, by every way of reading and
 * writing, beside a model.
 *
 * All that statx, listings and reads say, with warm caches, with cold ones and after a remount, is
 * what the model says. `npm run oracle` plays the same for as long as you like; it sets the
 * variables below.
 */
import { appendFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compileWorker, VolumeGround } from '../oracle/ground.ts';
import { playRound } from '../oracle/run.ts';
import { CHECK_CLASSES, type CheckClass } from '../oracle/stage.ts';
import { describeMount, Scratch, SYSTEM } from './harness.ts';

const SEED = Number(process.env.QUARRY_ORACLE_SEED ?? 1);
const MINUTES = Number(process.env.QUARRY_ORACLE_MINUTES ?? 0);
const ROUNDS = Number(process.env.QUARRY_ORACLE_ROUNDS ?? (MINUTES ? Number.MAX_SAFE_INTEGER : 3));
const BATCHES = Number(process.env.QUARRY_ORACLE_BATCHES ?? (MINUTES ? 400 : 150));
const REMOUNTS = Number(process.env.QUARRY_ORACLE_REMOUNTS ?? (MINUTES ? 2 : 1));
const SHRINK_MS = Number(process.env.QUARRY_ORACLE_SHRINK_MS ?? (MINUTES ? 60_000 : 20_000));
/** A hang is noticed much earlier, by who asked. */
const LIMIT_MS = 180_000 + (MINUTES ? MINUTES * 66_000 : ROUNDS * 120_000);
const WITHOUT = (process.env.QUARRY_ORACLE_WITHOUT ?? '').split(',').filter((name) => name !== '');

function isCheckClass(name: string): name is CheckClass {
  return CHECK_CLASSES.some((known) => known === name);
}

function say(line: string): void {
  const summary = process.env.QUARRY_ORACLE_SUMMARY;
  if (summary) appendFileSync(summary, `${line}\n`);
}

describeMount('the oracle of attributes and content', () => {
  const scratch = new Scratch();
  const program = scratch.file('worker');
  beforeAll(() => compileWorker(program));
  afterAll(() => scratch.remove());

  async function play(seed: number): Promise<string> {
    const ground = await VolumeGround.make(program, seed);
    const { kind, blockBytes, accessRule } = ground.nature;
    const what = `seed ${seed}: ${SYSTEM} on ${kind}, blocks of ${blockBytes}, ${accessRule}`;
    const without = new Set(WITHOUT.filter(isCheckClass));
    try {
      const options = { seed, batches: BATCHES, remounts: REMOUNTS, without, shrinkMs: SHRINK_MS };
      const { steps, calls, checks, drops } = await playRound(ground, options);
      return `${what}: ${steps} steps, ${calls} calls, ${checks} checks, caches dropped ${drops} times`;
    } catch (error) {
      const repeat = `npm run oracle -- --seed ${seed} --rounds 1 --batches ${BATCHES} --remounts ${REMOUNTS} --system ${SYSTEM}`;
      const text = error instanceof Error ? error.message : String(error);
      throw new Error(`${what}: ${text}\nrepeat: ${repeat}`);
    } finally {
      await ground.destroy();
    }
  }

  test('what is told is what was done', { timeout: LIMIT_MS }, async ({ annotate }) => {
    expect(WITHOUT.filter((name) => !isCheckClass(name))).toEqual([]);
    const end = MINUTES ? Date.now() + MINUTES * 60_000 : Number.POSITIVE_INFINITY;
    for (let round = 0; round < ROUNDS && Date.now() < end; round++) {
      const line = await play(SEED + round);
      say(line);
      await annotate(line);
    }
  });
});
