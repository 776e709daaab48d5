// @ts-check
/**
 * `npm run prebuilds-test`: loads each addon in `prebuilds` in the kind of process that it is for, by
 * an emulator where the processor is another one: glibc in Node, with which a volume is made and
 * read through the engine as well; musl in Bun, since no Node for musl is to be had from npm. What
 * they run in comes from npm for the time of the test; the emulator is Debian's qemu-user-static.
 *
 * A system with musl has a libstdc++ of its own. Here one is made of Debian's.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { arch, tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, ROOT } from './build.mjs';
import { muslFolders, output } from './prebuild/musl.mjs';
import { faultOf, nameOf, TARGETS } from './prebuild/targets.mjs';

const LOAD = join(ROOT, 'scripts/prebuild/load.cjs');
const [major] = process.versions.node.split('.');
const stage = mkdtempSync(join(tmpdir(), 'quarry-prebuilds-'));

/** A package of npm, unpacked. @param {string} name */
function unpacked(name) {
  const folder = mkdtempSync(join(stage, 'npm-'));
  const archive = output('npm', ['pack', '--silent', name], folder).trim();
  output('tar', ['xzf', archive], folder);
  rmSync(join(folder, archive));
  return join(folder, 'package/bin');
}

/**
 * A folder that looks like the root of a system with musl.
 * @param {import('./prebuild/targets.mjs').Target} target
 */
function muslRoot({ compiler, machine }) {
  const own = mkdtempSync(join(stage, 'musl-'));
  const { lib, shared, include } = muslFolders(machine, own);
  const root = join(own, 'root');
  mkdirSync(join(root, 'lib'), { recursive: true });
  const processor = machine.startsWith('aarch64') ? 'aarch64' : 'x86_64';
  const libc = join(root, 'lib', `ld-musl-${processor}.so.1`);
  copyFileSync(join(shared, 'libc.so'), libc);
  symlinkSync(`ld-musl-${processor}.so.1`, join(root, 'lib', `libc.musl-${processor}.so.1`));
  const part = (/** @type {string} */ name) => output(compiler, [`-print-file-name=${name}`]).trim();
  const object = join(own, 'standin.o');
  const headers = ['-nostdinc', '-isystem', include, '-isystem', part('include')];
  const c = compiler.replace(/g\+\+$/, 'gcc');
  output(c, ['-c', '-fPIC', '-O1', ...headers, join(ROOT, 'scripts/prebuild/standin.c'), '-o', object]);
  const made = join(root, 'lib/libstdc++.so.6');
  output(compiler, [
    ...['-shared', '-nostdlib', '-nostartfiles', '-Wl,-soname,libstdc++.so.6', '-o', made],
    ...[join(lib, 'crti.o'), part('crtbeginS.o'), object],
    ...['-Wl,--whole-archive', '-l:libstdc++.a', '-l:libgcc_eh.a', '-Wl,--no-whole-archive', '-lgcc'],
    ...[`-L${shared}`, `-L${lib}`, '-l:libc.so', part('crtendS.o'), join(lib, 'crtn.o')],
  ]);
  copyFileSync(made, join(root, 'lib/libgcc_s.so.1'));
  return root;
}

/**
 * The words that run a program of the target.
 * @param {import('./prebuild/targets.mjs').Target} target
 * @returns {string[]}
 */
function runtime(target) {
  const isHere = target.arch === arch();
  const emulator = target.arch === 'arm64' ? 'qemu-aarch64-static' : 'qemu-x86_64-static';
  if (target.libc === 'glibc') {
    if (isHere) return [process.execPath];
    return [
      emulator,
      '-L',
      `/usr/${target.machine}`,
      join(unpacked(`node-linux-${target.arch}@${major}`), 'node'),
    ];
  }
  const root = muslRoot(target);
  const processor = target.arch === 'arm64' ? 'aarch64' : 'x64';
  const bun = join(unpacked(`@oven/bun-linux-${processor}-musl@1`), 'bun');
  const loader = readdirSync(join(root, 'lib')).find((name) => name.startsWith('ld-musl')) ?? '';
  const started = [join(root, 'lib', loader), '--library-path', join(root, 'lib'), bun];
  return isHere ? started : [emulator, ...started];
}

/** A copy of the package that has nothing but one prebuilt addon. @param {import('./prebuild/targets.mjs').Target} target */
function packageWith({ file }) {
  const folder = mkdtempSync(join(stage, 'package-'));
  mkdirSync(join(folder, file, '..'), { recursive: true });
  copyFileSync(join(ROOT, file), join(folder, file));
  copyFileSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  for (const name of ['dist', 'node_modules'])
    output('cp', ['-r', '--reflink=auto', join(ROOT, name), folder]);
  return folder;
}

/** The emulator has no asynchronous I/O: there the engine is tried on threads. @param {boolean} isHere */
const volumeScript = (isHere) => `
  import { AlignedBuffer, openFile } from './dist/aio/file/open-file.js';
  import { check, format, openVolume } from './dist/quarryfs.js';
  await format('v.img', { size: 16 * 2 ** 20, engine: '${isHere ? 'native' : 'fs'}' });
  const volume = await openVolume('v.img', { engine: '${isHere ? 'native' : 'fs'}' });
  await volume.writeFile('/a', 'hello');
  await volume.close();
  const file = await openFile('v.img', { engine: '${isHere ? 'auto' : 'direct'}' });
  const count = await file.readAt(AlignedBuffer.allocate(4096), 0);
  await file.close();
  console.log(count, (await check('v.img', { engine: '${isHere ? 'native' : 'fs'}' })).clean);
`;

/** @param {import('./prebuild/targets.mjs').Target} target */
function tryOne(target) {
  const [command = '', ...words] = runtime(target);
  const found = JSON.parse(
    output(command, [...words, LOAD, join(ROOT, target.file)])
      .trim()
      .split('\n')
      .at(-1) ?? '',
  );
  const { exports, ...values } = found;
  const expected = { sum: 'e3069283', table: 'e3069283', memory: 8192, limits: 2, refused: 'TypeError' };
  if (exports < 40 || JSON.stringify(values) !== JSON.stringify(expected))
    throw new Error(`it says ${JSON.stringify(found)}`);
  if (target.libc === 'musl') return 'loads';
  const folder = packageWith(target);
  const said = output(
    command,
    [...words, '--input-type=module', '-e', volumeScript(target.arch === arch())],
    folder,
  ).trim();
  if (said !== '4096 true') throw new Error(said);
  return 'loads; a volume is made, and a file read by the engine';
}

if (!(await build())) process.exit(2);
let failed = 0;
for (const target of TARGETS) {
  try {
    const fault = faultOf(target);
    if (fault !== undefined) throw new Error(fault);
    console.log(`ok: ${nameOf(target)} ${tryOne(target)}`);
  } catch (error) {
    failed++;
    console.log(`FAILED: ${nameOf(target)}: ${error instanceof Error ? error.message : error}`);
  }
}
rmSync(stage, { recursive: true, force: true });
process.exitCode = failed > 0 ? 1 : 0;
console.log(`${TARGETS.length - failed} passed, ${failed} failed`);
