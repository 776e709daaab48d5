/**
 * `quarry dump` on image files: a volume as a crash leaves it, the same unmounted, and broken ones.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Superblock, VolumeRoot } from '../../src/fs/format/format.ts';
import type { Layout } from '../../src/fs/format/layout.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { runHere } from '../suite/command-line.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';

const BLOCK_BYTES = 4096;
const SIZE_BYTES = 4 * 1024 * 1024;
const encoder = new TextEncoder();
let folder = '';
let crashed = '';
let clean = '';
let layout: Layout;

const dump = (...words: string[]) => runHere('dump', ...words);

async function dumped(...words: string[]): Promise<string> {
  const { status, out, err } = await dump(...words);
  expect([status, err]).toEqual([0, '']);
  return out;
}

async function dumpedJson(...words: string[]): Promise<Record<string, unknown>> {
  return JSON.parse(await dumped(...words, '--json')) as Record<string, unknown>;
}

function writeImage(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'quarry-dump-'));
  const device = new MemoryDevice(SIZE_BYTES);
  await formatted(device, BLOCK_BYTES);
  const volume = await TestVolume.open(device);
  layout = volume.volume.layout;
  const small = await volume.create('/small');
  await volume.write(small, 0, encoder.encode('Hello, disk.\n'));
  await volume.mkdir('/folder');
  const large = await volume.create('/folder/large');
  await volume.write(large, 0, new Uint8Array(3 * BLOCK_BYTES).fill(0x51));
  await volume.volume.sync();
  crashed = writeImage('crashed.img', device.peek(0, SIZE_BYTES));
  for (let i = 0; i < 300; i++) await volume.create(`/folder/${'n'.repeat(30)}${i}`);
  await volume.volume.unmount();
  clean = writeImage('clean.img', device.peek(0, SIZE_BYTES));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('what is shown', () => {
  test('the superblock and its backup, field by field', async () => {
    const text = await dumped(clean, 'superblock');
    expect(text).toContain('superblock in block 0: sound');
    expect(text).toContain(`superblock in block ${layout.firstBackup}: sound`);
    const line = new RegExp(`^ +${Superblock.blockCount.offset}  00 04 00 00 .*blockCount +1024$`, 'm');
    expect(text).toMatch(line);
    expect(text).toMatch(/^ +144 {2}.*state +0 \(clean\)$/m);
    expect(text).toMatch(/label +"test"$/m);
    expect(await dumped(crashed, 'superblock')).toMatch(/state +1 \(dirty\)$/m);
  });

  test('the journal of a volume that was not unmounted: what a mount would replay', async () => {
    const text = await dumped(crashed, 'journal');
    expect(text).toContain('state of the volume:  dirty');
    const line = new RegExp(
      `^transaction 2: to be replayed; from log index 0; \\d+ blocks of the log; committed .*; copies of .*${layout.volumeRootBlock}`,
      'm',
    );
    expect(text).toMatch(line);
    const report = await dumpedJson(crashed, 'journal');
    expect(report.transactions).toMatchObject([{ sequence: 2, start: 0, fate: 'replayed', revokes: [] }]);
    expect(report.heads).toHaveLength(2);
  });

  test('the journal of one that was: nothing', async () => {
    const text = await dumped(clean, 'journal');
    expect(text).toContain('clean: nothing is replayed');
    expect(text).toMatch(/^transaction \d+: at home; .*; copies of /m);
    expect(text).not.toContain('to be replayed');
  });

  test('an inode that is in the journal only, with the data in its body', async () => {
    const text = await dumped(crashed, 'inode', '2');
    expect(text).toMatch(/mode +33188 \(regular, 0644\)$/m);
    expect(text).toMatch(/flags +1 \(inlineData\)$/m);
    expect(text).toMatch(/48 65 6c 6c 6f 2c 20 64 69 73 6b 2e 0a +Hello, disk\.\.$/m);
  });

  test('an inode with extents', async () => {
    const { parts } = await dumpedJson(clean, 'inode', '4');
    const extents = (parts as { title: string; fields: Record<string, unknown> }[]).filter(({ title }) =>
      title.startsWith('extent record'),
    );
    expect(extents).toHaveLength(1);
    expect(extents[0]?.fields).toMatchObject({ key: 0, length: 3, flags: 0 });
  });

  test('an inode, a directory and attributes by path', async () => {
    expect(await dumped(clean, '/folder/large')).toBe(await dumped(clean, 'inode', '4'));
    expect(await dumped(clean, `/folder/${'n'.repeat(30)}299`)).toContain('(regular,');
    expect(await dumped(crashed, '//small/')).toBe(await dumped(crashed, 'inode', '2'));
    expect(await dumped(clean, '/folder/..')).toBe(await dumped(clean, 'inode', '1'));
    expect(await dumped(clean, 'dir', '/folder')).toBe(await dumped(clean, 'dir', '3'));
    expect(await dumped(clean, 'attributes', '/')).toContain('inode 1, 0 extended attributes');
    for (const [words, fault] of [
      [['/folder/nobody'], 'there is no /folder/nobody'],
      [['/small/below'], '/small is no directory'],
      [['block', '/small'], "'/small' is not the number of a block"],
      [['/small', '3'], "leave out '3'"],
    ] as const) {
      const { status, out, err } = await dump(clean, ...words);
      expect([status > 0, out]).toEqual([true, '']);
      expect(err).toMatch(/^quarry: [^\n]*\n$/);
      expect(err).toContain(fault);
    }
  });

  test('the names of a directory, across its nodes', async () => {
    const { entries, parent } = await dumpedJson(clean, 'dir', '3');
    const list = entries as { key: number; name: string; type: string }[];
    expect(parent).toBe(1);
    expect(list).toHaveLength(301);
    expect(list.map(({ key }) => key)).toEqual(list.map(({ key }) => key).sort((a, b) => a - b));
    expect(list.find(({ name }) => name === 'large')).toMatchObject({ inode: 4, type: 'regular' });
    expect(await dumped(clean, 'dir', '1')).toMatch(/inode 3 +directory +"folder"$/m);
  });

  test('a block of each kind, and one of data', async () => {
    expect(await dumped(clean, 'block', '0')).toContain('block 0: sound');
    expect(await dumped(clean, 'block', `${layout.volumeRootBlock}`)).toMatch(/inodeCount +304$/m);
    expect(await dumped(clean, 'block', `${layout.spaceStart}`)).toMatch(/^ +0-\d+/m);
    expect(await dumped(clean, 'block', `${layout.summaryBlock(1, 0)}`)).toMatch(
      /summary entry 0: freeBlocks/,
    );
    const { parts } = await dumpedJson(clean, 'inode', '4');
    const extent = (parts as { fields: { block?: number } }[]).find(
      ({ fields }) => fields.block !== undefined,
    );
    const data = await dumped(clean, 'block', `${extent?.fields.block}`);
    expect(data).toContain('no metadata');
    expect(data).toMatch(/^ *0+ {2}51 51 .*QQQ\n\*\n/m);
  });

  test('the space, group by group', async () => {
    const { groups, freeBlocks, groupCount } = await dumpedJson(clean, 'space');
    // Bits behind the end of a short last group are set.
    const list = groups as { freeBlocks: number; used: number }[];
    expect(groupCount).toBe(1);
    expect(list).toHaveLength(1);
    expect(list[0]?.freeBlocks).toBe(freeBlocks);
    expect((list[0]?.freeBlocks ?? 0) + (list[0]?.used ?? 0)).toBe(layout.bitsPerBlock);
  });

  test('nothing is written', async () => {
    const before = readFileSync(crashed);
    for (const words of [
      ['superblock'],
      ['journal'],
      ['inode', '1'],
      ['dir', '1'],
      ['block', '1'],
      ['space'],
    ]) {
      await dumped(crashed, ...words);
    }
    expect(readFileSync(crashed).equals(before)).toBe(true);
  });
});

describe('what cannot be shown, in one line', () => {
  async function refused(...words: string[]): Promise<string> {
    const { status, out, err } = await dump(...words);
    expect(status).not.toBe(0);
    expect(out).toBe('');
    expect(err).toMatch(/^quarry: [^\n]+\n$/);
    return err;
  }

  test.each([
    [['nothing'], /'nothing' cannot be shown: say one of superblock, journal/],
    [['inode'], /say which inode/],
    [['inode', 'x'], /'x' is not the number of an inode/],
    [['inode', '0'], /there is no inode 0/],
    [['inode', '999'], /inode 999 is not in use/],
    [['inode', '99999999999'], /inode 99999999999 is not in use/],
    [['dir', '2'], /inode 2 is no directory/],
    [['block', '1024'], /there is no block 1024: the volume has blocks 0 to 1023/],
    [['journal', '3'], /'journal' takes no number/],
  ])('%j', async (words, line) => expect(await refused(clean, ...words)).toMatch(line));

  test('no volume', async () => {
    const path = writeImage('zeros.img', new Uint8Array(65536));
    expect(await refused(path, 'inode', '1')).toContain('is not a Quarry volume');
    expect(await refused(path, 'superblock')).toContain("does not begin with 'QUARRY'");
    expect(await refused(join(folder, 'absent'), 'space')).toContain('does not exist');
  });

  test('a damaged block is named', async () => {
    const bytes = new Uint8Array(readFileSync(clean));
    const at = layout.volumeRootBlock * BLOCK_BYTES + VolumeRoot.inodeCount.offset;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    const path = writeImage('damaged.img', bytes);
    expect(await refused(path, 'inode', '1')).toContain(
      `block ${layout.volumeRootBlock} is damaged: checksum does not match`,
    );
    const block = await dump(path, 'block', `${layout.volumeRootBlock}`);
    expect(block.status).toBe(0);
    expect(block.out).toContain('checksum does not match');
  });

  test('with a damaged journal, the volume as it is on disk', async () => {
    const bytes = new Uint8Array(readFileSync(crashed));
    bytes.fill(0xff, layout.journalStart * BLOCK_BYTES, (layout.journalStart + 2) * BLOCK_BYTES);
    const path = writeImage('no-heads.img', bytes);
    const { status, out, err } = await dump(path, 'dir', '1');
    expect(status).toBe(0);
    expect(out).toContain('directory 1, parent 1, 0 entries');
    expect(err).toMatch(/shown as it is on disk: its journal is damaged: neither of its heads is valid/);
  });
});
