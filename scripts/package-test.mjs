// @ts-check
/**
 * `npm run package-test`: the tarball as npm makes it, installed in a fresh project and used in every
 * way that its users have: as modules of both kinds, from TypeScript, in threads, under vitest and
 * jest, bundled; with the addon, compiled or prebuilt, and without.
 *
 * The prebuilt one is made here as `npm run prebuilds` makes it, unless that was run; where there is
 * no compiler for it (Debian's, see prebuild.mjs), the addon of this checkout stands for it.
 *
 * Takes npm's cache or a registry. What is tried is in scripts/package. The last line is "N passed,
 * N failed".
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { arch, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { build, ROOT } from './build.mjs';
import { faultOf, nameOf, TARGETS } from './prebuild/targets.mjs';

const FIXTURES = join(ROOT, 'scripts/package');
const QUIET = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
const PACK = ['pack', '--ignore-scripts', '--silent', '--pack-destination'];
/** What lets the script of quarryfs run; of what is installed here, nothing else has any. */
const SCRIPTS = '--dangerously-allow-all-scripts';
const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
/** Of what this project has itself, the same. */
const TOOLS = [
  ...['typescript', '@types/node', 'vitest'].map((name) => `${name}@${devDependencies[name]}`),
  ...['esbuild@^0.28.2', 'jest@^30.5.2'],
];

const stage = mkdtempSync(join(tmpdir(), 'quarry-package-'));
let passed = 0;
let failed = 0;

/**
 * @param {string} folder
 * @param {string} command
 * @param {string[]} words
 * @param {NodeJS.ProcessEnv} [more]
 */
function run(folder, command, words, more = {}) {
  // What npm tells the scripts it runs is not for the npm that is run here.
  const inherited = Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name));
  const env = { ...Object.fromEntries(inherited), ...more };
  const { status, stdout, stderr, error } = spawnSync(command, words, { cwd: folder, encoding: 'utf8', env });
  if (status === 0) return stdout;
  throw new Error(`${command} ${words.join(' ')}: ${error?.message ?? `${stdout}${stderr}`.trim()}`);
}

/** @param {string} what @param {() => void} work */
function trial(what, work) {
  const began = Date.now();
  try {
    work();
    passed++;
    console.log(`ok: ${what} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed++;
    const said = error instanceof Error ? error.message : String(error);
    console.log(`FAILED: ${what}: ${said.split('\n').slice(0, 20).join('\n')}`);
  }
}

/** @param {unknown} found @param {unknown} expected */
function expectSame(found, expected) {
  if (found !== expected) throw new Error(`${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
}

/** @param {string} name @param {'module' | 'commonjs'} type */
function project(name, type = 'module') {
  const folder = join(stage, name);
  cpSync(FIXTURES, folder, { recursive: true });
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ name, version: '1.0.0', private: true, type }),
  );
  return folder;
}

/** A folder for the files of one trial. */
function scratch() {
  return mkdtempSync(join(stage, 'files-'));
}

/** @param {string} folder @param {string[]} words */
function says(folder, ...words) {
  return run(folder, process.execPath, words).trim();
}

/** @param {string} folder @param {'nodenext' | 'bundler'} resolution */
function compile(folder, resolution) {
  const module = resolution === 'nodenext' ? 'nodenext' : 'esnext';
  const options = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--noEmit'];
  const target = ['--target', 'es2022', '--lib', 'es2023', '--types', 'node'];
  const resolved = ['--module', module, '--moduleResolution', resolution, '--skipLibCheck', 'false'];
  run(folder, 'npx', ['--no-install', 'tsc', ...options, ...target, ...resolved, 'consumer.ts']);
}

/** A bundle of all that esm.mjs imports. @param {string} folder @param {'esm' | 'cjs'} format */
function bundle(folder, format) {
  const file = join(folder, 'bundled', `bundle.${format === 'esm' ? 'mjs' : 'cjs'}`);
  const entry = join(folder, 'bundled', 'entry.mjs');
  mkdirSync(join(folder, 'bundled'), { recursive: true });
  // No await at the top: CommonJS has none.
  const text = readFileSync(join(folder, 'esm.mjs'), 'utf8').replaceAll("'./", "'../");
  writeFileSync(entry, text.replace(/console\.log\(await (.*)\);/, '$1.then(console.log);'));
  const words = [entry, '--bundle', '--platform=node', `--format=${format}`, `--outfile=${file}`];
  run(folder, 'npx', ['--no-install', 'esbuild', ...words, '--log-level=error']);
  return file;
}

/**
 * The tarball with an addon for this machine in it.
 * @param {string} tarball
 * @returns {{ tarball: string, file: string, from: string }} where the addon is, and whence
 */
function withPrebuilt(tarball) {
  const target = TARGETS.find((one) => one.arch === arch() && one.libc === 'glibc');
  if (target === undefined) throw new Error(`nothing is prebuilt for ${arch()}`);
  const { file, compiler } = target;
  if (faultOf(target) === undefined) return { tarball, file, from: "of 'npm run prebuilds'" };
  const folder = scratch();
  run(folder, 'tar', ['xzf', tarball]);
  const unpacked = join(folder, 'package');
  // Of other sources.
  rmSync(join(unpacked, 'prebuilds'), { recursive: true, force: true });
  const isBuilt = spawnSync(compiler, ['--version']).status === 0;
  if (isBuilt) {
    const script = join(ROOT, 'scripts/prebuild.mjs');
    run(ROOT, process.execPath, [script, '--package', unpacked, nameOf(target)]);
  } else {
    mkdirSync(join(unpacked, dirname(file)), { recursive: true });
    cpSync(join(ROOT, 'build/Release/quarry.node'), join(unpacked, file));
  }
  const from = isBuilt ? `made by ${compiler}` : `of this checkout: there is no ${compiler}`;
  return { tarball: join(folder, run(unpacked, 'npm', [...PACK, folder]).trim()), file, from };
}

/** @param {string} bare a tarball without a prebuilt addon, or with it */
function tryPrebuilt(bare) {
  const { tarball, file, from } = withPrebuilt(bare);
  const loaded = `await import('quarryfs/aio'); console.log(process.report.getReport().sharedObjects.join('\\n'))`;
  for (const [what, scripts] of [
    ['its scripts', SCRIPTS],
    ['scripts blocked', '--ignore-scripts'],
  ]) {
    const folder = project(`prebuilt-${what.replace(' ', '-')}`);
    const package_ = join(folder, 'node_modules/quarryfs');
    trial(
      `installed with a prebuilt addon (${from}) and ${what}, it loads that, and compiles nothing`,
      () => {
        run(folder, 'npm', ['install', ...QUIET, scripts, tarball]);
        expectSame(existsSync(join(package_, 'build')), false);
        const objects = says(folder, '--input-type=module', '-e', loaded).split('\n');
        expectSame(objects.filter((one) => one.endsWith('.node')).join(), join(package_, file));
      },
    );
    trial(`it works as a module of both kinds, in threads, and as the command`, () => {
      expectSame(says(folder, 'esm.mjs', scratch(), 'addon'), 'works');
      expectSame(says(folder, 'commonjs.cjs', scratch(), 'addon'), 'works');
      expectSame(says(folder, 'threads.mjs', scratch(), 'addon'), 'works');
      const image = join(scratch(), 'v.img');
      const quarry = ['--no-install', 'quarry'];
      run(folder, 'npx', [...quarry, 'mkfs', '--size', '64M', image]);
      run(folder, 'npx', [...quarry, 'fsck', '-n', image]);
    });
  }
}

function tryAll() {
  const tarball = join(stage, run(ROOT, 'npm', [...PACK, stage]).trim());
  const fresh = project('fresh');
  trial('installs, with its addon', () => {
    run(fresh, 'npm', ['install', ...QUIET, SCRIPTS, tarball]);
  });
  trial('brings nothing that only some want', () => {
    for (const name of ['fuse-native', '@observablehq/plot', '@resvg/resvg-js', 'linkedom', 'uplot'])
      expectSame(existsSync(join(fresh, 'node_modules', name)), false);
  });
  trial('the command', () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    for (const name of ['quarry', 'quarryfs'])
      expectSame(run(fresh, 'npx', ['--no-install', name, '--version']).trim(), version);
  });
  trial('ES modules', () => expectSame(says(fresh, 'esm.mjs', scratch(), 'addon'), 'works'));
  trial('CommonJS', () => expectSame(says(fresh, 'commonjs.cjs', scratch(), 'addon'), 'works'));
  trial('worker threads', () => expectSame(says(fresh, 'threads.mjs', scratch(), 'addon'), 'works'));
  trial('fuse-native is found where it was asked for', () => {
    run(fresh, 'npm', ['install', ...QUIET, '--ignore-scripts', 'fuse-native']);
    const from = join(fresh, 'node_modules/quarryfs/dist/fuse/fuse-native-adapter.js');
    const script = `console.log(require('module').createRequire(${JSON.stringify(from)}).resolve('fuse-native/package.json'))`;
    expectSame(says(fresh, '-e', script), join(fresh, 'node_modules/fuse-native/package.json'));
  });

  run(fresh, 'npm', ['install', ...QUIET, '--ignore-scripts', ...TOOLS]);
  trial('TypeScript, NodeNext', () => compile(fresh, 'nodenext'));
  trial('TypeScript, Bundler', () => compile(fresh, 'bundler'));
  trial('vitest', () => {
    run(fresh, 'npx', ['--no-install', 'vitest', 'run', '--globals', 'runner.test.mjs']);
  });
  trial('jest', () => {
    const words = ['--no-install', 'jest', '--testMatch', '**/runner.test.mjs', '--transform', '{}'];
    run(fresh, 'npx', words, { NODE_OPTIONS: '--experimental-vm-modules' });
  });
  for (const format of /** @type {const} */ (['esm', 'cjs'])) {
    trial(`bundled by esbuild as ${format}, beside the package`, () => {
      expectSame(says(fresh, bundle(fresh, format), scratch(), 'addon'), 'works');
    });
    trial(`bundled by esbuild as ${format}, alone`, () => {
      const alone = scratch();
      const file = bundle(fresh, format);
      const copy = join(alone, file.slice(file.lastIndexOf('/') + 1));
      cpSync(file, copy);
      expectSame(says(alone, copy, alone, 'without'), 'works');
    });
  }

  tryPrebuilt(tarball);

  const blocked = project('blocked');
  trial(
    'installed with its scripts blocked, it works where it needs no addon, and else says what to do',
    () => {
      run(blocked, 'npm', ['install', ...QUIET, '--ignore-scripts', tarball]);
      const folder = join(blocked, 'node_modules/quarryfs');
      rmSync(join(folder, 'prebuilds'), { recursive: true, force: true });
      expectSame(says(blocked, 'esm.mjs', scratch(), 'without'), 'works');
      const listed = run(blocked, 'npx', ['--no-install', 'quarry', 'help']);
      expectSame(listed.includes('mkfs'), true);
    },
  );
}

if (!(await build())) process.exit(2);
try {
  tryAll();
} finally {
  rmSync(stage, { recursive: true, force: true });
}
process.exitCode = failed > 0 ? 1 : 0;
console.log(`${passed} passed, ${failed} failed`);
