// @ts-check
/**
 * `npm run prebuilds [TARGET…]`: the addon for every system that it is delivered for, into
 * `prebuilds`, where npm packs it. Targets are such as `linux-x64-glibc`; by default all. With
 * `--package FOLDER` into the `prebuilds` of a package that is unpacked there.
 *
 * (Not `prebuild`: that npm would run before each `build`.)
 *
 * Takes packages of Debian: g++ for both kinds of processor (g++-aarch64-linux-gnu,
 * g++-x86-64-linux-gnu), binutils of both, and musl-tools. `npm run prebuilds-test` loads what was
 * made.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './build.mjs';
import { muslCompiler, output } from './prebuild/musl.mjs';
import { nameOf, TARGETS } from './prebuild/targets.mjs';

/**
 * The C++ library of the compiler comes with it, and meets no other: that of an older system would be
 * too old. Of it, only what is used; the rest would need a newer glibc.
 */
const GLIBC_LINK = '-static-libstdc++ -Wl,--exclude-libs,ALL -Wl,--gc-sections';

/**
 * @param {import('./prebuild/targets.mjs').Target} target
 * @param {string} stage
 * @param {string} into the folder of the package
 */
function buildFor(target, stage, into) {
  const { arch, libc, compiler, machine, file } = target;
  const source = join(stage, 'source');
  for (const part of ['native', 'binding.gyp', 'package.json'])
    cpSync(join(ROOT, part), join(source, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(source, 'node_modules'));
  const isMusl = libc === 'musl';
  const program = isMusl ? muslCompiler(target, stage) : compiler;
  const env = {
    ...process.env,
    CC: compiler.replace(/g\+\+$/, 'gcc'),
    CXX: program,
    LDFLAGS: isMusl ? '' : GLIBC_LINK,
  };
  // By npx, which hands on what npm knows, such as where the headers of Node are.
  const words = ['--no-install', 'node-gyp', 'rebuild', `--arch=${arch}`, '--silent', '-j', '2'];
  const { status } = spawnSync('npx', words, { cwd: source, env, stdio: 'inherit' });
  if (status !== 0) throw new Error(`${nameOf(target)} was not built`);
  const built = join(source, 'build/Release/quarry.node');
  output(`${machine}-strip`, [built]);
  const place = join(into, file);
  mkdirSync(dirname(place), { recursive: true });
  // Not over one that somebody has loaded.
  rmSync(place, { force: true });
  copyFileSync(built, place);
  return place;
}

/** What a system must have for it. @param {string} machine @param {string} place */
function needs(machine, place) {
  const text = output(`${machine}-readelf`, ['-dVW', place]);
  const libraries = [...text.matchAll(/Shared library: \[([^\]]+)\]/g)].map(([, name]) => name);
  const versions = [...text.matchAll(/Name: GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
  const libc = versions.length === 0 ? '' : `, glibc 2.${Math.max(...versions)}`;
  return `${libraries.join(' ')}${libc}`;
}

const { values, positionals: asked } = parseArgs({
  options: { package: { type: 'string', default: ROOT } },
  allowPositionals: true,
});
const unknown = asked.find((name) => !TARGETS.some((target) => nameOf(target) === name));
if (unknown !== undefined) {
  console.error(`prebuild: there is no target ${unknown}: use ${TARGETS.map(nameOf).join(', ')}`);
  process.exit(2);
}
const chosen = TARGETS.filter((target) => asked.length === 0 || asked.includes(nameOf(target)));
for (const target of chosen) {
  const stage = mkdtempSync(join(tmpdir(), 'quarry-prebuild-'));
  try {
    const place = buildFor(target, stage, resolve(values.package));
    console.log(`${target.file}: ${statSync(place).size} bytes, needs ${needs(target.machine, place)}`);
  } catch (error) {
    console.error(`prebuild: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}
