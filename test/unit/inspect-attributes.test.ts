/** Extended attributes as `quarry dump` shows them: in an inode, in blocks, whole or not. */
import { beforeAll, describe, expect, test } from 'vitest';
import { viewOf } from '../../src/common/bytes.ts';
import { AttributeRecord, HEADER_BYTES, Inode } from '../../src/fs/format/format.ts';
import { aclTexts } from '../../src/inspect/access-list-text.ts';
import { reportBlock } from '../../src/inspect/block-report.ts';
import { reportAttributes, reportInode } from '../../src/inspect/inode-report.ts';
import { nodeRecords } from '../../src/inspect/node-records.ts';
import type { VolumeSource } from '../../src/inspect/volume-source.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { aclBytes } from '../suite/acl-bytes.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';
import { BLOCK_BYTES, sourceOf, withBlock } from './inspect-sample.ts';

const encoder = new TextEncoder();

let device: MemoryDevice;
let source: VolumeSource;
let small = 0;
let large = 0;

beforeAll(async () => {
  device = new MemoryDevice(2 * 1024 * 1024);
  await formatted(device, BLOCK_BYTES);
  const volume = await TestVolume.open(device);
  small = await volume.create('/small');
  large = await volume.create('/large');
  await volume.write(small, 0, encoder.encode('some data'));
  const set = (inode: number, name: string, value: Uint8Array) =>
    volume.volume.run((tx) =>
      volume.volume.setExtendedAttribute(tx, inode, { name: encoder.encode(name), value }),
    );
  await set(small, 'user.who', encoder.encode('me'));
  for (let i = 0; i < 5; i++) await set(large, `user.${i}`, new Uint8Array(300 * i).fill(i));
  await volume.volume.unmount();
  device = device.reopen();
  source = await sourceOf(device);
});

describe('extended attributes', () => {
  test('in an inode, beside its data', async () => {
    const { parts } = await reportInode(source, small);
    expect(parts.map(({ title }) => title)).toEqual([
      `inode ${small}`,
      `inode ${small}, data in its body`,
      `inode ${small}, attributes in its body`,
      'node header',
      'attribute record 0',
    ]);
    expect(parts[1]?.notes).toEqual([expect.stringContaining('some data')]);
    expect(parts[4]?.notes).toEqual(['"user.who"']);
    expect(await reportAttributes(source, small)).toEqual({
      inode: small,
      attributes: [{ name: encoder.encode('user.who'), value: encoder.encode('me') }],
    });
  });

  test('in blocks, put together of their parts', async () => {
    const { attributes } = await reportAttributes(source, large);
    const found = attributes.map(({ name, value }) => [
      new TextDecoder().decode(name),
      value.length,
      value[0],
    ]);
    expect(found.sort()).toEqual([
      ['user.0', 0, undefined],
      ['user.1', 300, 1],
      ['user.2', 600, 2],
      ['user.3', 900, 3],
      ['user.4', 1200, 4],
    ]);
  });

  test('an ACL in words, whatever is in it', () => {
    const name = encoder.encode('system.posix_acl_access');
    const acl = aclBytes('u::rwx,u:7:r--,g::-w-,g:8:--x,m::rwx,o::---');
    expect(aclTexts(name, acl)?.join(' ')).toBe(
      'user::rwx user:7:r-- group::-w- group:8:--x mask::rwx other::---',
    );
    acl[4] = 3;
    acl[6] = 9;
    expect(aclTexts(name, acl.subarray(0, 17))).toEqual(['tag 3:9']);
    expect(aclTexts(encoder.encode('user.a'), acl)).toBeUndefined();
  });

  test('an inode without any', async () => {
    expect(await reportAttributes(source, 1)).toEqual({ inode: 1, attributes: [] });
  });

  test('a node of their tree', async () => {
    let leaf = 0;
    for await (const { block } of source.attributeRecords(await source.inode(large))) leaf = block;
    const { parts } = await reportBlock(source, leaf);
    expect(parts?.map(({ title }) => title)).toContain('attribute record 0');
  });

  test('one of which a part is missing', async () => {
    const { bytes, at, block } = await source.inode(small);
    const inline = Inode.inlineAttributeBytes.get(viewOf(bytes), at);
    const end = HEADER_BYTES + Inode.sizeBytes * (1 + (at - HEADER_BYTES) / Inode.sizeBytes);
    const [record = 0] = nodeRecords(bytes, end - inline, inline).offsets;
    const broken = withBlock(device, block, (changed) =>
      AttributeRecord.valueBytes.set(viewOf(changed), record, 20),
    );
    await expect(reportAttributes(await sourceOf(broken), small)).rejects.toThrow('is not whole');
  });
});
