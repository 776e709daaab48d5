/** `quarry resize`: mounted and not, images and devices, and what it refuses. */
import { statSync, truncateSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { describeQuarry, GIB, MIB, quarry, shell, shellResult, Volume } from './harness.ts';

const FILL =
  'for i in $(seq 40); do head -c 700000 /dev/urandom > file-$i; done; sha256sum file-* > /dev/shm/quarry-sums-$PPID';

/** What `df` says the volume has, in bytes. */
async function sizeByDf(volume: Volume): Promise<number> {
  return 4096 * Number(await volume.shell('stat -f -c %b .'));
}

describeQuarry('resize', () => {
  let volume: Volume;
  afterEach(() => volume?.destroy());

  test('an image that is mounted, while somebody writes to it', async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    await volume.shell('head -c 40M /dev/urandom > kept; sha256sum kept > sum');
    const busy = volume.shell('for i in $(seq 30); do head -c 300000 /dev/zero > busy-$((i % 7)); done');
    expect(await quarry('resize', volume.directory, '1G')).toMatchObject({
      status: 0,
      stdout: '',
      stderr: expect.stringMatching(/ has 1 GiB now, 64 MiB before\n$/),
    });
    await busy;
    expect(statSync(volume.image).size).toBe(GIB);
    expect(await sizeByDf(volume)).toBeGreaterThan(900 * MIB);
    await volume.shell('head -c 300M /dev/zero > large && sync -f . && sha256sum -c sum');
    expect(await quarry('resize', volume.image, '1G')).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/ has 1 GiB already\n$/),
    });
    await volume.remount();
    await volume.shell('sha256sum -c sum && test $(stat -c %s large) = 314572800');
    await volume.unmountAndCheck();
  });

  test('a device that became longer, mounted', async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB });
    truncateSync(volume.image, 300 * MIB);
    await shell(`losetup -c ${volume.target}`);
    expect(await quarry('resize', volume.directory)).toMatchObject({ status: 0 });
    expect(await sizeByDf(volume)).toBeGreaterThan(250 * MIB);
    await volume.shell('head -c 200M /dev/zero > large');
    await volume.unmountAndCheck();
  });

  test('an image that is not mounted, to all sizes there are', async () => {
    volume = await Volume.make({ sizeBytes: GIB }, { mounted: false });
    await volume.mount();
    await volume.shell(FILL.replaceAll('$PPID', String(process.pid)));
    await volume.unmount();
    for (const size of ['1T', '64T', '8191T']) {
      expect(await quarry('resize', volume.image, size, '--json')).toMatchObject({ status: 0 });
      expect(await quarry('fsck', '-n', volume.image)).toMatchObject({ status: 0 });
    }
    await volume.mount();
    await volume.shell(`sha256sum -c --quiet /dev/shm/quarry-sums-${process.pid}`);
    expect(await sizeByDf(volume)).toBeGreaterThan(8190 * 1024 * GIB);
    await volume.unmountAndCheck();
    await shell(`rm -f /dev/shm/quarry-sums-${process.pid}`);
  });

  test('an image becomes as small as its data allows', async () => {
    volume = await Volume.make({ sizeBytes: 300 * MIB });
    await volume.shell('head -c 200M /dev/zero > ballast; mkdir tree; ln -s tree link');
    await volume.shell(
      'for i in $(seq 800); do head -c $((i * 97)) /dev/urandom > tree/$i; done; rm ballast',
    );
    await volume.shell('mkdir deep && for i in $(seq 300); do echo $i > deep/$i-$(printf %0200d 0); done');
    const sum = 'find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum';
    const before = await volume.shell(sum);
    await volume.unmount();
    const refused = await quarry('resize', volume.image, '12M');
    expect(refused).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/needs [\d.]+ MiB or a little/),
    });
    expect(await quarry('fsck', '-n', volume.image)).toMatchObject({ status: 0 });
    expect(await quarry('resize', volume.image, '150M')).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/ has 150 MiB now, 300 MiB before\n$/),
    });
    expect(statSync(volume.image).size).toBe(150 * MIB);
    expect(await quarry('fsck', '-n', volume.image)).toMatchObject({ status: 0 });
    await volume.mount();
    expect(await volume.shell(sum)).toBe(before);
    await volume.unmountAndCheck();
  });

  test('on a device a volume may be smaller than that, and grows again', async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB });
    await volume.shell('head -c 20M /dev/urandom > kept; sha256sum kept > sum');
    await volume.unmount();
    expect(await quarry('resize', volume.target, '40M')).toMatchObject({ status: 0 });
    expect(await quarry('fsck', '-n', volume.target)).toMatchObject({ status: 0 });
    await volume.mount();
    expect(await sizeByDf(volume)).toBeLessThan(40 * MIB);
    expect(await quarry('resize', volume.directory)).toMatchObject({ status: 0 });
    await volume.shell('head -c 30M /dev/zero > more && sha256sum -c sum');
    await volume.unmountAndCheck();
  });

  test('what cannot be is refused in one line', async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB });
    const refused = async (...words: string[]) => {
      const { status, stdout, stderr } = await quarry('resize', ...words);
      expect([status, stdout]).toEqual([words.length === 3 ? 2 : 1, '']);
      expect(stderr).toMatch(/^quarry: [^\n]+\n$/);
      return stderr;
    };
    expect(await refused(volume.directory, '32M')).toContain('only while it is not mounted');
    expect(await refused(volume.directory, '1G')).toContain('no more than 64 MiB');
    expect(await refused('/proc/self')).toContain('not a mountpoint');
    expect(await refused('/dev/null', '1G')).toContain('/dev/null');
    await volume.unmount();
    expect(await refused(volume.target, '1M')).toContain('too few');
    await volume.mount('-o', 'ro');
    expect(await refused(volume.directory, '1G')).toMatch(/read-only|no more/);
    await volume.unmountAndCheck();
  });

  /** The one line of a refusal, after which the image is as long as it was. */
  async function refusal(size: string): Promise<string> {
    const before = statSync(volume.image).size;
    const { status, stdout, stderr } = await quarry('resize', volume.directory, size);
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^quarry: [^\n]+\n$/);
    expect(statSync(volume.image).size).toBe(before);
    return stderr;
  }

  test('an image that is mounted read-only stays as long as it is', async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
    await volume.mount('-o', 'ro');
    expect(await refusal('1G')).toContain('is mounted read-only');
    await volume.remount();
    await shell(`mount -i -o remount,ro ${volume.directory}`);
    expect(await refusal('1G')).toContain('is mounted read-only');
    expect(await quarry('mount', '-o', 'remount,rw', volume.target, volume.directory)).toMatchObject({
      status: 0,
    });
    expect(await refusal('3K')).toContain('not even room for one block');
    expect(await quarry('resize', volume.directory, String(GIB + 5000))).toMatchObject({ status: 0 });
    expect(statSync(volume.image).size).toBe(GIB + 4096);
    await shell(`mount --bind ${volume.directory} ${volume.directory}`);
    await shell(`mount -i -o remount,bind,ro ${volume.directory}`);
    expect(await quarry('resize', volume.directory, '2G')).toMatchObject({ status: 0 });
    await shell(`umount ${volume.directory}`);
    await volume.unmountAndCheck();
  });

  test('an image on a filesystem that is full stays as long as it is', async () => {
    volume = await Volume.make({ sizeBytes: 4 * MIB, blockBytes: 1024 }, { mounted: false });
    const host = volume.scratch.file('host');
    await shell(`mkdir ${host} && mount -t tmpfs -o size=24m none ${host}`);
    const image = `${host}/volume.img`;
    const fill = `head -c 40M /dev/zero > ${host}/fill || true`;
    try {
      await shell(`cp --sparse=always ${volume.image} ${image}; ${fill}`);
      expect(await quarry('resize', image, '128M')).toMatchObject({
        status: 1,
        stderr: `quarry: no space left for ${image}\n`,
      });
      expect(statSync(image).size).toBe(4 * MIB);
      expect(await quarry('fsck', '-n', image)).toMatchObject({ status: 0 });
      await shell(`rm ${host}/fill`);
      expect(await quarry('mount', image, volume.directory)).toMatchObject({ status: 0 });
      await shell(fill);
      expect(await quarry('resize', volume.directory, '128M')).toMatchObject({
        status: 1,
        stderr: `quarry: no space left for ${image}\n`,
      });
      expect(statSync(image).size).toBe(4 * MIB);
      await shell(`rm ${host}/fill`);
      expect(await quarry('resize', volume.directory, '128M')).toMatchObject({ status: 0 });
      expect(await quarry('umount', volume.directory)).toMatchObject({ status: 0 });
      expect(await quarry('fsck', '-n', image)).toMatchObject({ status: 0 });
    } finally {
      await shellResult(`umount ${volume.directory}; umount ${host} || umount -l ${host}`);
    }
  });

  test('an image that mkfs refuses in the last moment is as it was', async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
    const loop = (await shell(`losetup --find --show -b 4096 ${volume.image}`)).trim();
    const host = volume.scratch.file('host');
    const image = `${host}/volume.img`;
    try {
      await shell(`mkfs.ext4 -q -F ${loop} && mkdir ${host} && mount ${loop} ${host}`);
      expect(await quarry('mkfs', '--size', '16M', image)).toMatchObject({ status: 0 });
      const before = await shell(`sha256sum ${image}`);
      for (const size of ['4M', '20M']) {
        expect(await quarry('mkfs', '--force', '--block-size', '1K', '--size', size, image)).toMatchObject({
          status: 1,
          stderr: expect.stringContaining('smaller than the sectors'),
        });
      }
      expect(await shell(`sha256sum ${image}`)).toBe(before);
      expect(await quarry('mkfs', '--force', '--size', '20M', image)).toMatchObject({ status: 0 });
      expect(await quarry('mkfs', '--force', '--size', '4M', image)).toMatchObject({ status: 0 });
      expect(statSync(image).size).toBe(4 * MIB);
      expect(await quarry('fsck', '-n', image)).toMatchObject({ status: 0 });
    } finally {
      await shellResult(`umount ${host}; losetup -d ${loop}`);
    }
  });
});
