// @ts-check
/**
 * All four entry points at work, as the programs beside this one import them: returns a word for
 * each that did what it should, and throws for one that did not.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';

/**
 * @param {{ quarryfs: typeof import('quarryfs'), aio: typeof import('quarryfs/aio'), alloc: typeof
 * import('quarryfs/alloc'), lab: typeof import('quarryfs/lab') }} entries
 * @param {string} folder where files may be made
 * @param {boolean} hasAddon
 */
export async function use({ quarryfs, aio, alloc, lab }, folder, hasAddon) {
  const image = join(folder, 'v.img');
  await quarryfs.format(image, { size: 32 * 2 ** 20, force: true });
  const volume = await quarryfs.openVolume(image);
  await volume.mkdir('/a');
  await volume.writeFile('/a/b.txt', 'hello');
  await volume.close();
  const again = await quarryfs.openVolume(image, { readOnly: true });
  assert.equal(await again.readFile('/a/b.txt', 'utf8'), 'hello');
  await again.close();
  assert.equal((await quarryfs.check(image)).clean, true);

  if (hasAddon) {
    const file = await aio.openFile(image);
    const block = aio.AlignedBuffer.allocate(4096);
    assert.equal(await file.readAt(block, 0), 4096);
    await file.close();
  } else {
    await assert.rejects(aio.openFile(image), {
      name: 'MissingAddonError',
      message: /^the native addon is not (there: .*'npm rebuild quarryfs|built: run 'npm install')/,
    });
  }
  assert.equal(alloc.defineAllocator({ name: 'mine', create: () => /** @type {never} */ ({}) }).name, 'mine');
  assert.ok(lab.MEASURES.length > 10);
  assert.deepEqual(lab.estimate([1, 1, 1]).mean, 1);
  return 'works';
}
