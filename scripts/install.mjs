// @ts-check
/**
 * What npm runs when the package was put into its place: compiles the native addon, if none of
 * those that came with it loads here.
 *
 * That this fails is no failure of the installation: volumes in image files, `quarryfs` in a program
 * and the laboratory work without the addon, and whoever needs it is told then what to do. On
 * systems other than Linux there is nothing to compile.
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { ADDON, isAddonStale, ROOT } from './addon.mjs';

if (process.platform === 'linux') {
  const program = createRequire(import.meta.url).resolve('node-gyp-build/bin.js');
  // In a checkout; where npm installs the package nothing was compiled before.
  if (isAddonStale()) rmSync(ADDON, { force: true });
  // Tries those that are there, and runs node-gyp if none can be loaded.
  const { status } = spawnSync(process.execPath, [program], { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) {
    console.error(
      'quarryfs: the native addon was not compiled (see above; it needs a C++ compiler, make and python3).\n' +
        'quarryfs: nothing can be mounted without it. When they are there: npm rebuild quarryfs --foreground-scripts',
    );
  }
}
