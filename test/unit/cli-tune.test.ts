/** `quarry tune`: what it changes on disk, what a crash in the midst leaves, and what is refused. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { checkVolume } from '../../src/check/checker.ts';
import { holdingOptions } from '../../src/cli/stored-options.ts';
import { volumeError } from '../../src/cli/volume-failure.ts';
import { readSuperblock } from '../../src/fs/format/superblock.ts';
import { planFormat } from '../../src/fs/mkfs.ts';
import { openVolume } from '../../src/fs/volume.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { runHere } from '../suite/command-line.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';

const SIZE_BYTES = 16 * 1024 * 1024;
let folder = '';
let image = '';
let original: Uint8Array;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'quarry-tune-'));
  image = join(folder, 'v.img');
  const device = new MemoryDevice(SIZE_BYTES);
  await formatted(device, 4096);
  const volume = await TestVolume.open(device);
  await volume.create('/file');
  await volume.volume.unmount();
  original = device.peek(0, SIZE_BYTES).slice();
});
beforeEach(() => writeFileSync(image, original));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Info {
  label: string;
  uuid: string;
  mountOptions: string;
  features: string[];
  state: string;
}

async function info(): Promise<Info> {
  return JSON.parse((await runHere('info', '--json', image)).out) as Info;
}

async function tuned(...words: string[]): Promise<void> {
  const { status, err } = await runHere('tune', image, ...words);
  expect([status, err]).toEqual([0, `quarry: ${image} is changed\n`]);
  expect(await runHere('fsck', '-n', image)).toMatchObject({ status: 0 });
  const { out } = await runHere('dump', image, 'superblock');
  // The backups say what the first one says.
  for (const field of ['label', 'shownUuid', 'mountOptions', 'incompatibleFeatures']) {
    const values = out.match(new RegExp(`${field} .*`, 'g')) ?? [];
    expect([field, values.length, new Set(values).size]).toEqual([field, 2, 1]);
  }
}

describe('changes', () => {
  test('label, id and mount options, together and back again', async () => {
    const before = await info();
    const id = '01234567-89ab-4def-8123-456789abcdef';
    await tuned('-L', 'ünïcode', '-U', id, '-o', 'noatime,commit=30');
    expect(await info()).toMatchObject({
      label: 'ünïcode',
      uuid: id,
      mountOptions: 'noatime,commit=30',
      state: 'clean',
    });
    await tuned('-U', 'random');
    const { uuid } = await info();
    expect([uuid === id, uuid === before.uuid]).toEqual([false, false]);
    await tuned('--label', '', '--uuid', 'original', '--options', '');
    expect(await info()).toMatchObject({ label: '', uuid: before.uuid, mountOptions: '' });
  });

  test('backups that a crash left as they were follow at the next mount', async () => {
    await tuned('-L', 'new', '-o', 'noatime');
    const device = new MemoryDevice(SIZE_BYTES);
    device.poke(0, readFileSync(image));
    const crashed = await TestVolume.open(device);
    await crashed.create('/other');
    await crashed.volume.sync();
    const after = new MemoryDevice(SIZE_BYTES);
    after.poke(0, device.peek(0, SIZE_BYTES));
    const { backups } = planFormat(SIZE_BYTES, { blockBytes: 4096 });
    const places = backups.map((block) => block * 4096);
    for (const at of places) after.poke(at, original.subarray(at, at + 4096));
    await (await TestVolume.open(after)).volume.unmount();
    const names = (at: number) => Buffer.from(after.peek(at + 200, 312)).toString('latin1');
    expect(names(0)).toMatch(/^new.*noatime/s);
    for (const at of places) expect(names(at)).toBe(names(0));
    await crashed.volume.unmount();
  });

  test('features that nothing uses go, and come again', async () => {
    expect((await info()).features).toEqual(['attributes', 'unwritten']);
    await tuned('-O', '^attributes,^unwritten');
    expect((await info()).features).toEqual([]);
    await tuned('-O', 'attributes', '-O', 'unwritten');
    expect((await info()).features).toEqual(['attributes', 'unwritten']);
  });

  test('a feature that is used stays', async () => {
    const device = new MemoryDevice(SIZE_BYTES);
    device.poke(0, original);
    const volume = await TestVolume.open(device);
    const file = await volume.create('/with');
    const attribute = { name: Buffer.from('user.a'), value: new Uint8Array(3) };
    await volume.run((tx) => volume.volume.setExtendedAttribute(tx, file, attribute));
    await volume.volume.unmount();
    writeFileSync(image, device.peek(0, SIZE_BYTES));
    const before = readFileSync(image);
    const refused = await runHere('tune', image, '-L', 'new', '-O', '^attributes');
    expect(refused).toMatchObject({ status: 1, out: '' });
    expect(refused.err).toMatch(/^quarry: [^\n]* uses what is to be taken away[^\n]*\n$/);
    expect(readFileSync(image).equals(before)).toBe(true);
    await tuned('-O', '^unwritten');
  });
});

test('whatever of the writes a crash leaves, the volume is sound, and is the one or the other', async () => {
  let writes = 0;
  for (; ; writes++) {
    const disk = new MemoryDevice(SIZE_BYTES);
    disk.poke(0, original);
    const volume = await openVolume(disk);
    let left = writes;
    const write = disk.write.bind(disk);
    let crashed: Uint8Array | undefined;
    disk.write = (...transfer) => {
      if (left-- === 0) crashed ??= disk.peek(0, SIZE_BYTES).slice();
      write(...transfer);
    };
    await volume.whole.tune({ label: Buffer.from('new'), features: new Set(['attributes']) });
    await volume.unmount();
    if (crashed === undefined) break;
    const after = new MemoryDevice(SIZE_BYTES);
    after.poke(0, crashed);
    const { label } = await readSuperblock(after);
    expect(['test', 'new']).toContain(label);
    const again = await openVolume(after);
    await again.unmount();
    const found = new MemoryDevice(SIZE_BYTES);
    found.poke(0, after.peek(0, SIZE_BYTES));
    expect((await checkVolume(found)).problems).toEqual([]);
    expect(writes).toBeLessThan(20);
  }
  // The superblock and its backups, and what unmounting writes.
  expect(writes).toBeGreaterThan(2);
});

test('where a backup cannot be written, the change holds, is told so, and fsck renews the backup', async () => {
  const device = new MemoryDevice(SIZE_BYTES);
  device.poke(0, original);
  const layout = (await readSuperblock(device)).layout();
  const [backup = 0] = layout.backups;
  const write = device.write.bind(device);
  device.write = (...transfer) => {
    const [, , , offset, completion] = transfer;
    if (offset === backup * layout.blockBytes) setImmediate(() => completion.ioDone(5));
    else write(...transfer);
  };
  const volume = await openVolume(device);
  const thrown: unknown = await volume.whole.tune({ label: Buffer.from('new') }).catch((error) => error);
  await volume.unmount();
  expect(volumeError(thrown, 'v.img', 'opened').message).toBe(
    "v.img is changed, but a backup of the superblock could not be written (EIO): 'quarry fsck -y v.img' renews it",
  );
  writeFileSync(image, device.peek(0, SIZE_BYTES));
  expect(await info()).toMatchObject({ label: 'new', state: 'clean' });
  const found = await runHere('fsck', '-n', image);
  expect([found.status, found.out]).toEqual([
    4,
    expect.stringMatching(/the backup superblock at block \d+ has another label/),
  ]);
  expect(await runHere('fsck', '-y', image)).toMatchObject({ status: 1 });
  await tuned('-o', '');
  expect(await info()).toMatchObject({ label: 'new' });
});

describe('what is refused, before anything is written', () => {
  test.each([
    [[], 2, /say what is to be changed/],
    [['-L', 'x'.repeat(65)], 2, /65 bytes/],
    [['-L', 'a\nb'], 2, /control character/],
    [['-U', 'nonsense'], 2, /nonsense/],
    [['-O', 'nonsense'], 2, /no feature 'nonsense'/],
    [['-O', '^quota'], 2, /quarry quota on/],
    [['-o', 'record=/etc/passwd'], 2, /cannot ask for 'record=\/etc\/passwd'/],
    [['-o', 'allocator=./evil.js'], 2, /cannot ask for/],
    [['-o', 'suid'], 2, /cannot ask for 'suid'/],
    [['-o', 'commit=never'], 2, /commit=never/],
    [['-o', Array.from({ length: 40 }, () => 'noatime').join(',')], 2, /more than 216 bytes/],
  ] as const)('%j', async (words, status, fault) => {
    const { status: found, out, err } = await runHere('tune', image, ...words);
    expect([found, out, err]).toEqual([status, '', expect.stringMatching(fault)]);
    expect(err).toMatch(/^quarry: [^\n]+\n$/);
    expect(readFileSync(image).equals(original)).toBe(true);
  });

  test('what is no volume', async () => {
    expect(await runHere('tune', '/dev/null', '-L', 'x')).toMatchObject({ status: 1 });
    expect(await runHere('tune', '/nowhere', '-L', 'x')).toMatchObject({ status: 1 });
  });
});

test('of options that a volume asks for, only harmless ones hold', () => {
  const asked = 'noatime,suid,allocator=/evil.js,commit=7,record=/x,commit=x,nosuid,unknown,rw,fsname=x';
  expect(holdingOptions(asked, true)).toEqual(['noatime', 'commit=7', 'nosuid']);
  expect(holdingOptions('', true)).toEqual([]);
});
