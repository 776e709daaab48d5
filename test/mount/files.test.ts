/**
 * What programs do to the bytes of files: every block size of dd, holes, many writers, random work
 * beside a twin.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, FULL, GIB, KIB, MIB, run, Volume } from './harness.ts';

const MODEL = fileURLToPath(new URL('model.py', import.meta.url));
const DD_BLOCKS = ['512', '1000', '4k', '5000', '64k', '1M', '4M'];

describeMount.each([
  { kind: 'image' as const, blockBytes: 4 * KIB },
  { kind: 'loop' as const, blockBytes: KIB },
  { kind: 'image' as const, blockBytes: 64 * KIB },
])('bytes of files on $kind, blocks of $blockBytes', (options) => {
  let volume: Volume;
  /** 24 MiB and some odd bytes that do not compress. */
  let data: string;

  beforeAll(async () => {
    volume = await Volume.make(options);
    data = volume.scratch.file('data');
    await volume.shell(`head -c ${24 * MIB + 12_345} /dev/urandom > '${data}'`);
  });
  afterAll(() => volume?.destroy());

  test('dd with every block size, buffered and direct', async ({ annotate }) => {
    for (const block of DD_BLOCKS) {
      // 24 MiB by 512 bytes would be 49,000 calls for nothing new.
      const count = block === '512' || block === '1000' ? 'count=2000' : '';
      await volume.shell(`dd if='${data}' of=buffered bs=${block} ${count} conv=fsync status=none
        cmp -n $(stat -c %s buffered) '${data}' buffered && rm buffered`);
      if (block === '1000' || block === '5000') continue;
      await volume.shell(`dd if='${data}' of=direct bs=${block} count=${count ? 2000 : 5} oflag=direct status=none
        dd if=direct bs=${block} iflag=direct status=none | cmp -n $(stat -c %s direct) '${data}' -
        cmp -n $(stat -c %s direct) '${data}' direct && rm direct`);
    }
    await annotate(`bs=${DD_BLOCKS.join(', ')}: equal, buffered with conv=fsync and O_DIRECT`);
  });

  test('seek beyond the end leaves zeros', async () => {
    await volume.shell(`
      for where in . '${volume.scratch.path}'; do
        rm -f "$where/holes"
        dd if='${data}' of="$where/holes" bs=1000 count=7 status=none
        dd if='${data}' of="$where/holes" bs=1M seek=20 count=1 conv=notrunc status=none
        dd if='${data}' of="$where/holes" bs=777 seek=9999 count=3 conv=notrunc status=none
        truncate -s 30000001 "$where/holes"
      done
      cmp holes '${volume.scratch.path}/holes'`);
    await volume.remount();
    await volume.shell(`cmp holes '${volume.scratch.path}/holes' && test $(stat -c '%b' holes) -lt 8000`);
  });

  test('a sparse file of 100 GiB', async ({ annotate }) => {
    await volume.shell(`truncate -s 100G huge
      for place in 0 50000 102399; do dd if='${data}' of=huge bs=1M count=1 seek=$place conv=notrunc,fsync status=none; done`);
    await volume.remount();
    await volume.shell(`test $(stat -c %s huge) = ${100 * GIB} && test $(stat -c %b huge) -lt 20000
      for place in 0 50000 102399; do dd if=huge bs=1M count=1 skip=$place status=none | cmp -n 1048576 '${data}' -; done
      dd if=huge bs=1M count=64 skip=70000 status=none | cmp -n 67108864 /dev/zero -`);
    await annotate(`takes ${(await volume.shell('du -h huge')).trim().split('\t')[0]} of ${options.kind}`);
    await volume.shell('rm huge');
  });

  test('eight processes write at once', async () => {
    await volume.shell(`mkdir many
      for i in 0 1 2 3 4 5 6 7; do
        dd if='${data}' of=many/$i bs=$((RANDOM % 60000 + 5000)) status=none &
        dd if='${data}' of=shared bs=1M count=3 skip=$((i * 3)) seek=$((i * 3)) conv=notrunc status=none &
        (for line in {1..500}; do echo "writer $i line $line" >> appended; done) &
      done; wait
      for i in 0 1 2 3 4 5 6 7; do cmp '${data}' many/$i; done
      cmp -n ${24 * MIB} '${data}' shared
      test $(sort -u appended | grep -c '^writer [0-7] line [0-9]*$') = 4000`);
    await volume.remount();
    await volume.shell(`for i in 0 1 2 3 4 5 6 7; do cmp '${data}' many/$i; done
      cmp -n ${24 * MIB} '${data}' shared; test $(wc -l < appended) = 4000; rm -r many shared appended`);
  });

  test.each([1, 2, 3].map((seed) => ({ seed, mode: seed === 2 ? 'direct' : 'cached' })))(
    'random work beside a twin: seed $seed, $mode',
    async ({ seed, mode }) => {
      const twin = volume.scratch.file(`twin-${seed}`);
      const steps = FULL ? 20_000 : 1500;
      const args = [MODEL, `random-${seed}`, twin, String(seed), String(steps), mode];
      const result = await run('python3', args, { cwd: volume.directory });
      expect(result).toEqual({ status: 0, stdout: '', stderr: '' });
      await volume.shell(`cmp random-${seed} '${twin}'`);
      await volume.remount();
      await volume.shell(`cmp random-${seed} '${twin}' && rm random-${seed}`);
    },
  );

  test('the volume is sound', async () => {
    await volume.unmountAndCheck();
    await volume.mount();
  });
});
