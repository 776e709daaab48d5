/**
 * What is not a sound volume, and what is not a sensible command: one clear line, not zero, and
 * nothing touched.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  describeQuarry,
  isMountPoint,
  MIB,
  quarry,
  ROOT,
  run,
  shell,
  shellResult,
  Volume,
} from './harness.ts';

describeQuarry('bad input', () => {
  let volume: Volume;
  let file: (name: string) => string;

  beforeAll(async () => {
    volume = await Volume.make({ sizeBytes: 16 * MIB }, { mounted: false });
    file = (name) => volume.scratch.file(name);
    await shell(
      `head -c 8M /dev/urandom > random.img
      truncate -s 8M zeros.img; : > empty.img; echo hello > text.img; head -c 1000000 volume.img > truncated.img
      head -c 4096 volume.img > superblock-only.img
      truncate -s 16M ext4.img; mkfs.ext4 -q -F ext4.img 2>/dev/null || true
      mkdir folder; echo x > folder/x`,
      { cwd: volume.scratch.path },
    );
  });
  afterAll(() => volume?.destroy());

  /** Fails with one line that matches, and leaves the target as it was. */
  async function expectRefusal(
    args: string[],
    target: string,
    says: RegExp,
    annotate: (text: string) => unknown,
  ) {
    const sum = async () => (await shellResult(`sha256sum '${target}'`)).stdout;
    const before = await sum();
    const result = await quarry(...args);
    const label = `quarry ${args.join(' ')}`;
    expect(result.status, label).toBeGreaterThan(0);
    expect(result.status, label).toBeLessThan(128);
    expect(result.stderr.trim().split('\n'), label).toHaveLength(1);
    expect(result.stderr, label).toMatch(says);
    expect(await sum(), label).toBe(before);
    expect(isMountPoint(volume.directory)).toBe(false);
    await annotate(`${args[0]}: ${result.stderr.trim().replaceAll(volume.scratch.path, '…')}`);
  }

  test.each([
    'random.img',
    'zeros.img',
    'empty.img',
    'text.img',
    'truncated.img',
    'superblock-only.img',
    'ext4.img',
  ])('mount, info and fsck of %s', async (name) => {
    const target = file(name);
    for (const args of [
      ['mount', target, volume.directory],
      ['info', target],
      ['fsck', '-n', target],
    ]) {
      // info may well read the superblock of what is cut off after it.
      if (args[0] === 'info' && /truncated|superblock/.test(name)) continue;
      if (args[0] === 'fsck') {
        expect([4, 8, 12], `fsck of ${name}`).toContain((await quarry(...args)).status);
      } else {
        await expectRefusal(args, target, /\S/, () => undefined);
      }
    }
  });

  test('one flipped byte anywhere in the superblock', async () => {
    const flipped = file('flipped.img');
    // The first 4 KiB: superblock, and whatever stands before it.
    for (const offset of [0, 3, 8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 128]) {
      await shell(`cp --sparse=always '${volume.image}' '${flipped}'`);
      const descriptor = openSync(flipped, 'r+');
      const byte = Buffer.alloc(1);
      readSync(descriptor, byte, 0, 1, offset);
      writeSync(descriptor, Buffer.from([(byte[0] ?? 0) ^ 0x10]), 0, 1, offset);
      closeSync(descriptor);
      const before = await shell(`sha256sum < '${flipped}'`);
      const result = await quarry('mount', flipped, volume.directory);
      // Either refused, or mounted by the copy of the superblock; never a crash, never silence
      // about it.
      if (result.status === 0) {
        expect((await quarry('umount', volume.directory)).status).toBe(0);
      } else {
        expect(result.status, `byte ${offset}`).toBeLessThan(128);
        expect(result.stderr.trim().split('\n'), `byte ${offset}`).toHaveLength(1);
        expect(await shell(`sha256sum < '${flipped}'`)).toBe(before);
      }
    }
  });

  test('mkfs does not overwrite what is something already', async ({ annotate }) => {
    await expectRefusal(['mkfs', file('ext4.img')], file('ext4.img'), /--force/, annotate);
    await expectRefusal(['mkfs', volume.image], volume.image, /--force/, annotate);
    // A master boot record with one partition of type Linux.
    await shell(
      String.raw`truncate -s 16M parted.img && {
        printf '\x80\x00\x02\x00\x83\x03\x20\x08\x01\x00\x00\x00\x00\x60\x00\x00' | dd of=parted.img bs=1 seek=446 conv=notrunc
        printf '\x55\xaa' | dd of=parted.img bs=1 seek=510 conv=notrunc
      } 2> /dev/null`,
      { cwd: volume.scratch.path },
    );
    await expectRefusal(['mkfs', file('parted.img')], file('parted.img'), /--force/, annotate);
  });

  test('mkfs validates everything before it writes', async ({ annotate }) => {
    for (const args of [
      ['--block-size', '3000'],
      ['--block-size', '512'],
      ['--block-size', '1M'],
      ['--uuid', 'not-a-uuid'],
      ['--size', 'much'],
      ['--size', '-5'],
      ['--journal-size', '10T'],
      ['--label', 'x'.repeat(1000)],
      ['--nonsense'],
    ]) {
      await expectRefusal(['mkfs', '--force', ...args, file('zeros.img')], file('zeros.img'), /\S/, annotate);
    }
    await expectRefusal(
      ['mkfs', '--force', file('text.img')],
      file('text.img'),
      /small|size|range/i,
      annotate,
    );
  });

  test('mount says what is wrong with its arguments', async ({ annotate }) => {
    const { image, directory } = volume;
    await expectRefusal(['mount', image, file('nowhere')], image, /nowhere/, annotate);
    await expectRefusal(['mount', image, file('text.img')], image, /text\.img/, annotate);
    await expectRefusal(['mount', file('missing.img'), directory], image, /missing\.img/, annotate);
    await expectRefusal(['mount', file('folder'), directory], image, /folder/, annotate);
    await expectRefusal(['mount', '-o', 'nonsense', image, directory], image, /nonsense/, annotate);
    await expectRefusal(['mount', '-o', 'spin=never', image, directory], image, /spin/, annotate);
    await expectRefusal(
      ['mount', '--allocator', 'perfect-fit', image, directory],
      image,
      /perfect-fit/,
      annotate,
    );
    await expectRefusal(
      ['mount', '--allocator', './missing.js', image, directory],
      image,
      /missing\.js/,
      annotate,
    );
    await expectRefusal(['mount', image], image, /\S/, annotate);
    await expectRefusal(['umount', directory], image, /not .*mount/i, annotate);
    await expectRefusal(['stat', directory], image, /\S/, annotate);
    await expectRefusal(['explode'], image, /explode/, annotate);
  });

  test('a device that is mounted as something else, or held open', async ({ annotate, skip }) => {
    const device = (await shell(`losetup --find --show '${file('ext4.img')}'`)).trim();
    try {
      const mounted = await shellResult(`mount -t ext4 '${device}' '${volume.directory}'`);
      if (mounted.status !== 0) skip('ext4 cannot be mounted here');
      const refused = await quarry('mkfs', '--force', device);
      await shell(`umount '${volume.directory}'`);
      expect(refused.status).toBeGreaterThan(0);
      expect(refused.stderr.trim().split('\n')).toHaveLength(1);
      await annotate(refused.stderr.trim());
    } finally {
      await shellResult(`umount -l '${volume.directory}'; losetup --detach '${device}'`);
    }
  });

  test('without the addon: a line that says what to do, and no status that means success to mount(8) or fsck(8)', async () => {
    const copy = file('without-addon');
    await shell(
      `mkdir '${copy}' && cp -r dist package.json '${copy}' && ln -s "$PWD/node_modules" '${copy}'`,
      {
        cwd: ROOT,
      },
    );
    const image = file('without-addon.img');
    await shell(`truncate -s 16M '${image}'`);
    // An image file could do without; who else has a device only the addon can tell.
    const device = (await shell(`losetup --find --show '${image}'`)).trim();
    try {
      for (const [program, words, status] of [
        ['main.js', ['info', device], 1],
        ['mkfs-alias.js', [device], 1],
        ['mount-alias.js', [device, volume.directory], 32],
        ['fsck-alias.js', ['-n', device], 8],
      ] as const) {
        const result = await run(process.execPath, [`${copy}/dist/cli/${program}`, ...words]);
        expect(result, program).toMatchObject({ status, stdout: '' });
        expect(result.stderr, program).toMatch(
          /^quarry: the native addon is not built: run 'npm install' .*\n$/,
        );
      }
      expect(await shell(`tr -d '\\0' <'${image}' | wc -c`)).toMatch(/^ *0$/m);
    } finally {
      await shell(`losetup --detach '${device}'`);
    }
  });
});
