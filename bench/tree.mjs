// @ts-check
/** The tree of files that is copied, in memory. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { run } from './machine.mjs';

/**
 * Copies part of a real tree to memory, so that its own disk does not count: directories with the
 * files in them, taken evenly from all over `/usr/share`, so that sizes are mixed as they are
 * there.
 * @param {string | undefined} source all of this one instead
 * @param {string} folder
 * @param {number} limit files
 */
export async function prepareTree(source, folder, limit) {
  const target = join(folder, 'tree');
  mkdirSync(target);
  if (source) {
    await run('cp', ['-a', source, target]);
  } else {
    const root = '/usr/share';
    const counted = await run('find', [root, '-xdev', '-type', 'f', '-printf', '%h\\n']);
    const all = counted.trim().split('\n');
    const directories = [...new Set(all)].sort();
    const step = Math.max(1, Math.floor(all.length / limit));
    const list = join(folder, 'list');
    const taken = directories.filter((_, index) => index % step === 0);
    writeFileSync(list, taken.map((directory) => `${relative(root, directory)}/`).join('\n'));
    // The files right in each of the directories, without what is below.
    await run('bash', [
      '-c',
      `cd ${root} && while read -r d || [[ $d ]]; do find "./$d" -maxdepth 1 -print0; done < "$1" |
        tar -c --no-recursion --null -T - | tar -xp -C "$2"`,
      'bash',
      list,
      target,
    ]);
  }
  const count = (await run('find', [target, '-mindepth', '1'])).split('\n').length - 1;
  const bytes = Number((await run('du', ['-sb', target])).split('\t')[0]);
  return { tree: target, treeFiles: count, treeBytes: bytes };
}
