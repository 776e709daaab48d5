/**
 * Repairs, kind by kind: each damage of the table is repaired with `-y`, a second check finds nothing, and what the damage did
 * not touch can be read as before.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { repairVolume } from '../../src/check/repair.ts';
import { DAMAGES } from './check-damages.ts';
import { Image, makeSample } from './check-sample.ts';

beforeAll(makeSample);

describe('every damage of the table', () => {
  test.each(DAMAGES)('%s', async (_, damage, codes) => {
    const image = await new Image().load();
    await damage(image);
    const repaired = await repairVolume(image.device, 'all');
    expect(repaired.after.problems).toEqual([]);
    expect(repaired.outcome).toBe('corrected');
    for (const code of codes) expect(repaired.problems.map((problem) => problem.code)).toContain(code);
    const again = await checkVolume(image.device);
    expect(again).toMatchObject({ clean: true, state: 'clean', problems: [] });
  });
});
