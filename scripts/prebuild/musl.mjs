// @ts-check
/**
 * Compiling C++ for musl with Debian's compilers, which are made for glibc: the headers of musl in
 * the place of glibc's, the headers of libstdc++ as they are, but for a few functions that musl has
 * not, and at run time the libstdc++ of the system, which Node needs there as well.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const OWN_HEADERS = fileURLToPath(new URL('./musl', import.meta.url));

/** @param {string} command @param {string[]} words @param {string} [cwd] */
export function output(command, words, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, words, {
    encoding: 'utf8',
    ...(cwd && { cwd }),
  });
  if (status === 0) return `${stdout}${stderr}`;
  throw new Error(`${command} ${words.join(' ')}: ${error?.message ?? `${stdout}${stderr}`.trim()}`);
}

/**
 * Where musl's headers and start files are, for a machine of any kind. Those of another one than
 * this are fetched from Debian, without a change to this system.
 * @param {string} machine @param {string} folder for what is fetched
 * @returns {{ include: string, lib: string, shared: string }}
 */
export function muslFolders(machine, folder) {
  const name = machine.replace('-gnu', '-musl');
  const architecture = machine.startsWith('aarch64') ? 'arm64' : 'amd64';
  const at = (/** @type {string} */ root) => ({
    include: join(root, 'usr/include', name),
    lib: join(root, 'usr/lib', name),
    shared: join(root, 'lib', name),
  });
  if (existsSync(at('/').include)) return at('/');
  const root = join(folder, 'musl-root');
  if (!existsSync(at(root).include)) fetchMusl(architecture, folder, root);
  return at(root);
}

/** @param {string} architecture @param {string} folder @param {string} root */
function fetchMusl(architecture, folder, root) {
  const lists = join(folder, 'lists');
  const packages = join(folder, 'packages');
  for (const made of [join(lists, 'partial'), packages]) mkdirSync(made, { recursive: true });
  const settings = {
    'Dir::State::Lists': lists,
    'Dir::Cache': join(folder, 'cache'),
    'APT::Architectures': architecture,
    'APT::Architecture': architecture,
    'APT::Sandbox::User': 'root',
  };
  const words = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  output('apt-get', [...words, '-qq', 'update']);
  output(
    'apt-get',
    [...words, '-qq', 'download', `musl-dev:${architecture}`, `musl:${architecture}`],
    packages,
  );
  for (const name of readdirSync(packages)) output('dpkg-deb', ['-x', join(packages, name), root]);
}

/** Folders that the compiler looks for headers in. @param {string} compiler */
function headerFolders(compiler) {
  const said = output(compiler, ['-E', '-x', 'c++', '-v', '/dev/null']);
  const [, listed = ''] =
    /search starts here:\n([\s\S]*?)End of search list/.exec(said.split('#include <...>')[1] ?? '') ?? [];
  return listed
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}

/**
 * Writes a program that stands for the compiler and compiles for musl.
 * @param {{ compiler: string, machine: string }} target @param {string} folder
 * @returns {string} its path
 */
export function muslCompiler({ compiler, machine }, folder) {
  const { include, lib, shared } = muslFolders(machine, folder);
  const folders = headerFolders(compiler);
  const own = output(compiler, ['-print-file-name=include']).trim();
  const kernel = join(folder, 'kernel-headers');
  mkdirSync(kernel, { recursive: true });
  for (const name of ['linux', 'asm', 'asm-generic']) {
    const from = folders.find((one) => existsSync(join(one, name)));
    if (from === undefined) throw new Error(`${compiler} has no headers of the kernel: ${name}`);
    if (!existsSync(join(kernel, name))) symlinkSync(join(from, name), join(kernel, name));
  }
  const system = [OWN_HEADERS, ...folders.filter((one) => one.includes('/c++/')), own, include, kernel];
  const compile = [
    ...['-nostdinc', '-nostdinc++', '-U_FORTIFY_SOURCE'],
    // What glibc's headers define, and libstdc++ asks for.
    ...["'-D__GLIBC_PREREQ(a,b)=0'", '-D_GLIBCXX_GTHREAD_USE_WEAK=0', '-D__locale_t=locale_t'],
    // Those of libgcc ask glibc what the processor can do.
    ...(machine.startsWith('aarch64') ? ['-mno-outline-atomics'] : []),
    ...system.flatMap((one) => ['-isystem', one]),
  ];
  const part = (/** @type {string} */ name) => output(compiler, [`-print-file-name=${name}`]).trim();
  const first = [join(lib, 'crti.o'), part('crtbeginS.o')];
  const last = [
    '-l:libstdc++.so.6',
    '-l:libgcc_s.so.1',
    '-lgcc',
    '-l:libc.so',
    part('crtendS.o'),
    join(lib, 'crtn.o'),
  ];
  const program = join(folder, 'musl-c++');
  const text = `#!/bin/sh
for word; do
  if [ "$word" = -shared ]; then
    exec ${compiler} -nostdlib -nostartfiles ${first.join(' ')} "$@" -L${lib} -L${shared} ${last.join(' ')}
  fi
done
exec ${compiler} ${compile.join(' ')} "$@"
`;
  writeFileSync(program, text, { mode: 0o755 });
  return program;
}
