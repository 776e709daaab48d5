/**
 * Calls functions of the addon in every wrong way. What is thrown must be an error that can be
 * shown; a line on standard output tells of anything else. A call that aborts ends this process,
 * and the last line on standard error names it.
 *
 *   node native-arguments-child.mjs           lists what there is to call
 *   node native-arguments-child.mjs NAME …    calls these
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const native = createRequire(import.meta.url)('../../build/Release/quarry.node');
const folder = mkdtempSync(join(tmpdir(), 'quarry-arguments-'));
const file = join(folder, 'file');
writeFileSync(file, new Uint8Array(1 << 16));
const opened = openSync(file, 'r+');

/** Memory whose ArrayBuffer went elsewhere. */
function detached() {
  const memory = new native.AlignedMemory(4096);
  structuredClone(memory.bytes.buffer, { transfer: [memory.bytes.buffer] });
  return memory;
}

const throwing = () => {
  throw new Error('getter');
};
const proxy = new Proxy({}, { get: throwing, has: throwing, getPrototypeOf: throwing });
const revoked = Proxy.revocable({}, {});
revoked.revoke();

/**
 * No small numbers: they are descriptors that this process needs. And none that may be a process.
 */
const VALUES = [
  undefined,
  null,
  true,
  -1,
  -0.5,
  1e7,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  -(2 ** 53),
  1e308,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  7n,
  -(2n ** 70n),
  '',
  'text',
  '\u0000',
  'x'.repeat(5000),
  Symbol('s'),
  {},
  [],
  Object.create(null),
  () => {},
  proxy,
  revoked.proxy,
  new Uint8Array(0),
  new Uint8Array(16),
  new Float64Array(2),
  new Float32Array(1),
  new DataView(new ArrayBuffer(8)),
  new ArrayBuffer(8),
  new SharedArrayBuffer(8),
  detached().bytes,
  detached(),
  new native.AlignedMemory(4096),
  new native.Descriptor(opened),
  {
    get readOnly() {
      throw new Error('getter');
    },
  },
];

/** Above every pid_max. */
const NO_PROCESS = 2 ** 22 + 1;

/** Good arguments, to be spoilt one at a time. */
const GOOD = {
  crc32c: () => [new Uint8Array(16), 0, 16, 0],
  crc32cByTable: () => [new Uint8Array(16), 0, 16, 0],
  AlignedMemory: () => [4096],
  FuseChannel: () => [native.socketPair()[0], 16384, 2],
  AioQueue: () => [2, () => {}],
  UringQueue: () => [2, () => {}],
  ThreadQueue: () => [2, () => {}],
  MappedFile: () => [opened, false, false],
  Descriptor: () => [opened],
  HookWatch: () => ['subject', 'advice', new Error('overrun'), 1000, 1000, 1000],
  lockDescriptor: () => [opened, 0],
  setDirect: () => [opened, false],
  probeDescriptor: () => [opened],
  openDevice: () => [file, { exclusive: false }],
  closeDevice: () => [1e6],
  discardRange: () => [opened, false, 0, 4096, () => {}],
  mountFuse: () => ['source', '/nonexistent/directory', 'fuse', 0, 'fd=1000000'],
  umount: () => ['/nonexistent/directory', 0],
  socketPair: () => [],
  connectDatagram: () => ['/nonexistent/socket'],
  sendDatagram: () => [1e6, new Uint8Array(8)],
  receiveDescriptor: () => [1e6],
  setIoFlusher: () => [],
  isLockedElsewhere: () => [opened, 1],
  loopBacking: () => [opened],
  openFileClock: () => [],
  readFileClock: () => [opened, new Float64Array(2)],
  startQuestion: () => ['/nonexistent/directory', 1e6, -1, -1, 0, new Uint8Array(8)],
  startUnmount: () => ['/nonexistent/directory', 1e6, 0],
  startSeal: () => [['/nonexistent/cover'], '/nonexistent/directory', 1e6, 1e6],
  startAbort: () => [1e6],
  endErrand: () => [NO_PROCESS],
  openProcess: () => [NO_PROCESS],
  processHasEnded: () => [1e6],
  leaveSession: () => [],
  processExit: () => [1e6],
  signalProcess: () => [1e6, 0],
  turnLengths: () => [],
  MountWatch: () => [() => {}],
  resourceLimit: () => [0],
  setResourceLimit: () => [1e6, 0, 0],
  listAttributes: () => ['/nonexistent/file'],
  getAttribute: () => ['/nonexistent/file', 'user.name'],
  setAttribute: () => ['/nonexistent/file', 'user.name', new Uint8Array(4)],
  // Of a type that nothing has, so that no path becomes a file.
  makeNode: () => ['/nonexistent/file', 0o170000, 0],
  setTimes: () => ['/nonexistent/file', 0, 0, 0, 0],
  seekFile: () => [opened, 0, false],
};

/** Good arguments of methods. */
const GOOD_OF_METHODS = {
  submit: () => [0],
  registerFile: () => [opened],
  unregisterFile: () => [opened],
  registerMemory: () => [new native.AlignedMemory(4096)],
  unregisterMemory: () => [new native.AlignedMemory(4096)],
  guard: () => ['name', () => 1, {}],
  loading: () => [false],
  start: () => [() => {}, () => {}],
  release: () => [0],
  reply: () => [0, 16],
  replyWithBody: () => [0, 16, new native.AlignedMemory(4096), 0, 16],
  notify: () => [0, 16],
  notifyIdle: () => [0, 16, 1],
  keepNotice: () => [0, 16],
  notifyThen: () => [0, 16, 1],
  deliverNotices: () => [],
  setSpin: () => [0],
};

function isClass(value) {
  return (
    typeof value === 'function' &&
    value.prototype !== undefined &&
    value.name !== '' &&
    /^[A-Z]/.test(value.name)
  );
}

/** May the system not have it, as io_uring in a container? */
function make(name) {
  try {
    return new native[name](...GOOD[name]());
  } catch (error) {
    if (error.syscall !== undefined) return undefined;
    throw error;
  }
}

/** What happens to be legal passes. */
function attempt(what, call) {
  writeSync(2, `${what}\n`);
  try {
    call();
  } catch (error) {
    const fair = error instanceof Error && typeof error.message === 'string';
    if (!fair) writeSync(1, `${what} threw ${String(error)}\n`);
  }
}

function show(value) {
  try {
    return typeof value === 'bigint' ? `${value}n` : String(value).slice(0, 30).replaceAll('\u0000', '\\0');
  } catch {
    return 'something';
  }
}

function spoil(name, good, call) {
  const count = good().length;
  for (let given = 0; given < count; given++)
    attempt(`${name} with ${given} arguments`, () => call(good().slice(0, given)));
  for (const value of VALUES) {
    attempt(`${name} with only ${show(value)}`, () => call(Array(Math.max(count, 1)).fill(value)));
    for (let at = 0; at < count; at++) {
      const spoilt = good().with(at, value);
      attempt(`${name} with ${show(value)} as argument ${at}`, () => call(spoilt));
    }
  }
}

/** Receivers that are not what the method belongs to. */
function foreignReceivers(name) {
  const others = ['AlignedMemory', 'ThreadQueue', 'Descriptor', 'HookWatch', 'FuseChannel']
    .filter((other) => other !== name)
    .map(make);
  return [undefined, null, 7, {}, Object.create(native[name].prototype), native, proxy, () => {}, ...others];
}

function spoilMethods(name) {
  const { prototype } = native[name];
  for (const method of Object.getOwnPropertyNames(prototype).filter((key) => key !== 'constructor')) {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, method);
    if (typeof descriptor.value !== 'function') continue;
    const good = GOOD_OF_METHODS[method] ?? (() => []);
    const label = `${name}.${method}`;
    for (const receiver of foreignReceivers(name)) {
      attempt(`${label} of ${show(receiver)}`, () => descriptor.value.apply(receiver, good()));
    }
    const instance = make(name);
    if (instance === undefined) return;
    spoil(label, good, (values) => instance[method](...values));
    if ('close' in instance) {
      instance.close();
      attempt(`${label} of a closed one`, () => instance[method](...good()));
      spoil(`${label} of a closed one`, good, (values) => instance[method](...values));
    }
  }
}

/** Arrays over memory of the addon, taken away while it works with them. */
function detachArrays(name) {
  for (const part of ['entries', 'segments', 'completions']) {
    const queue = make(name);
    if (queue === undefined) return;
    attempt(`${name}.submit after ${part} went elsewhere`, () => {
      structuredClone(queue[part].buffer, { transfer: [queue[part].buffer] });
      queue.submit(1);
      queue.close();
    });
  }
  const queue = make(name);
  const bad = [Number.NaN, -1, 2 ** 53, 1e308, 0.5, 1e6, Number.NEGATIVE_INFINITY];
  for (const value of bad) {
    for (let at = 0; at < 8; at++) {
      attempt(`${name}.submit of an entry with ${value} at ${at}`, () => {
        queue.entries.fill(0);
        queue.entries[0] = 2;
        queue.entries[1] = opened;
        queue.entries[at] = value;
        const one = new native[name](2, () => {});
        one.entries.set(queue.entries.subarray(0, 8));
        one.submit(1);
        one.close();
      });
    }
  }
}

const names = Object.keys(native).filter((name) => typeof native[name] === 'function');
const chosen = process.argv.slice(2);
if (chosen.length === 0) {
  writeSync(
    1,
    JSON.stringify({
      names,
      known: Object.keys(GOOD),
      classes: names.filter((name) => isClass(native[name])),
    }),
  );
}
for (const name of chosen) {
  const good = GOOD[name];
  if (isClass(native[name])) {
    attempt(`${name} without new`, () => native[name](...good()));
    spoil(`new ${name}`, good, (values) => new native[name](...values).close?.());
    spoilMethods(name);
    if (name.endsWith('Queue')) detachArrays(name);
  } else {
    spoil(name, good, (values) => native[name](...values));
  }
}
if (globalThis.gc) for (let i = 0; i < 3; i++) globalThis.gc();
await new Promise((resolve) => setTimeout(resolve, 20));
closeSync(opened);
rmSync(folder, { recursive: true });
if (chosen.length > 0) writeSync(1, 'end\n');
