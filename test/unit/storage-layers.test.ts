/** Whose bytes a target's bytes are, on machines made of tables. */
import { describe, expect, test } from 'vitest';
import { type BlockFacts, deviceId, layersOf, overlap } from '../../src/cli/storage-layers.ts';

const MIB = 1024 * 1024;
const IMAGE = 'file 8:1 77';

const loop = (backing: string, offsetBytes = 0, limitBytes = 0): BlockFacts => ({
  slaves: [],
  loop: { backing, path: '/disk.img', offsetBytes, limitBytes },
});
const partition = (disk: string, startBytes: number, sizeBytes: number): BlockFacts => ({
  slaves: [],
  partition: { disk, startBytes, sizeBytes },
});

const MACHINE: Readonly<Record<string, BlockFacts>> = {
  '7:0': loop(IMAGE),
  '7:1': loop(IMAGE),
  '7:2': loop(IMAGE, MIB, 4 * MIB),
  '7:3': loop(IMAGE, 5 * MIB),
  '7:4': loop('device 7:2', MIB),
  '7:5': loop('file 8:1 78'),
  '7:6': loop('device 8:0', 3 * MIB, MIB),
  '8:1': partition('8:0', MIB, 2 * MIB),
  '8:2': partition('8:0', 3 * MIB, 2 * MIB),
  '259:0': partition('7:0', MIB, MIB),
  '259:1': partition('7:0', 2 * MIB, MIB),
  '253:0': { slaves: ['8:2'] },
  '253:1': { slaves: ['8:2'] },
  '253:2': { slaves: ['7:0', '8:1'] },
  '7:8': loop('device 7:9'),
  '7:9': loop('device 7:8'),
};
const facts = (numbers: string) => MACHINE[numbers] ?? { slaves: [] };
const layers = (id: string) => layersOf(id.startsWith('file') ? id : deviceId(id), undefined, facts);
const same = (one: string, other: string) => overlap(layers(one), layers(other));

describe('layers', () => {
  test('of a loop device over a loop device over a file, with the ranges of each', () => {
    expect(layers('7:4')).toMatchObject([
      { id: 'device 7:4', role: 'itself', startBytes: 0, endBytes: Number.POSITIVE_INFINITY, exact: true },
      { id: 'device 7:2', role: 'loop', startBytes: MIB, endBytes: Number.POSITIVE_INFINITY, exact: true },
      { id: IMAGE, role: 'loop', path: '/disk.img', startBytes: 2 * MIB, endBytes: 5 * MIB, exact: true },
    ]);
  });

  test('of a partition of a loop device', () => {
    expect(layers('259:1').slice(1)).toMatchObject([
      { id: 'device 7:0', role: 'partition', startBytes: 2 * MIB, endBytes: 3 * MIB },
      { id: IMAGE, role: 'loop', startBytes: 2 * MIB, endBytes: 3 * MIB },
    ]);
  });

  test('below a mapped device are not exact, and a circle ends', () => {
    expect(layers('253:2').map(({ id, exact }) => `${id} ${exact}`)).toEqual([
      'device 253:2 true',
      'device 7:0 false',
      'device 8:1 false',
      `${IMAGE} false`,
      'device 8:0 false',
    ]);
    expect(layers('7:8').length).toBeLessThan(100);
  });
});

test.each([
  [IMAGE, IMAGE, true],
  ['7:0', IMAGE, true],
  ['7:0', '7:1', true],
  ['7:2', '7:3', false],
  ['7:0', '7:3', true],
  ['7:4', '7:2', true],
  ['7:4', '7:3', false],
  ['7:4', IMAGE, true],
  ['7:5', '7:0', false],
  ['259:0', '259:1', false],
  ['259:0', '7:0', true],
  ['259:0', '7:2', true],
  ['259:0', '7:3', false],
  ['8:1', '8:2', false],
  ['8:0', '8:2', true],
  ['7:6', '8:1', false],
  ['7:6', '8:2', true],
  ['253:0', '253:1', false],
  ['253:0', '253:0', true],
  ['253:0', '8:2', true],
  ['253:0', '8:1', false],
  ['253:2', IMAGE, true],
])('%s and %s share bytes: %s', (one, other, expected) => {
  expect(same(one, other)).toBe(expected);
  expect(same(other, one)).toBe(expected);
});
