/** Large directories and wide trees: made, listed, looked up, emptied. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, FULL, KIB, Volume } from './harness.ts';

const NAMES = FULL ? 200_000 : 20_000;

const MAKE = `
import os, sys
for index in range(int(sys.argv[1])):
    os.close(os.open('large/name-%d-%s' % (index * 7919 % 1000003, 'x' * (index % 40)), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
`;

describeMount.each([{ blockBytes: 4 * KIB }, { blockBytes: KIB }])(
  'directories, blocks of $blockBytes',
  (options) => {
    let volume: Volume;
    beforeAll(async () => {
      volume = await Volume.make(options);
    });
    afterAll(() => volume?.destroy());

    test(`${NAMES} names in one directory`, async ({ annotate }) => {
      const freeBlocks = async () => Number(await volume.shell('stat -f -c %f .'));
      await volume.shell('mkdir large');
      const before = await freeBlocks();
      await volume.python(MAKE, [String(NAMES)]);
      expect((await volume.shell('ls -f large | sort -u | wc -l')).trim()).toBe(String(NAMES + 2));
      await volume.remount();
      const begin = Date.now();
      expect((await volume.shell('find large -type f | wc -l')).trim()).toBe(String(NAMES));
      const listed = (Date.now() - begin) / 1000;
      await volume.shell(`ls -l large > /dev/null; test -e large/name-7919-x; ! test -e large/name-7919-y`);
      const beginRemove = Date.now();
      await volume.shell('rm -r large && ! test -e large');
      await annotate(
        `listed in ${listed} s after a remount, emptied in ${(Date.now() - beginRemove) / 1000} s`,
      );
      await annotate(`free blocks: ${before} before, ${await freeBlocks()} after`);
    });

    test('a wide and deep tree, moved and removed', async () => {
      await volume.shell(`
      mkdir -p tree/{a..j}/{a..j}/{a..j} && for folder in tree/*/*/*; do echo x > $folder/file; done
      mv tree/a tree/j/ && mv tree/b/b tree/c/new && mv -T tree/d tree/j/d/d/d/file-2
      test $(find tree -name file | wc -l) = 1000 && rm -r tree`);
    });

    test('the volume is sound', () => volume.unmountAndCheck());
  },
);
