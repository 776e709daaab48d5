/**
 * The smallest FUSE server, for the test of the native channel: a root directory in which nothing is found.
 *
 *   node native-fuse-server.cjs ADDON DIRECTORY [slots] [throw | slow | hold]
 *
 * It mounts, prints "mounted", serves until the mount is gone, prints its counters as JSON and ends with 0.
 *   throw   the first LOOKUP throws after its reply, into an uncaughtException handler
 *   slow    replies come a turn of the loop later
 *   hold    keeps each slot for a millisecond, so that slots run out
 */
const { openSync } = require('node:fs');

const [, , addon, directory, slots = '8', mode = ''] = process.argv;
const native = require(addon);
const SLOT_BYTES = 4096 + 65536;
const HEAD = 4096 - 80;
const { LOOKUP, FORGET, GETATTR, INIT, BATCH_FORGET, INTERRUPT, DESTROY } = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  INIT: 26,
  INTERRUPT: 36,
  DESTROY: 38,
  BATCH_FORGET: 42,
};
const ENOENT = 2;
const ENOSYS = 38;

const descriptor = openSync('/dev/fuse', 'r+');
native.mountFuse(
  'quarry-test',
  directory,
  'fuse.quarry-test',
  0,
  `fd=${descriptor},rootmode=40000,user_id=0,group_id=0`,
);
const channel = new native.FuseChannel(descriptor, SLOT_BYTES, Number(slots));
const view = new DataView(channel.memory.bytes.buffer);
let thrown = 0;
process.on('uncaughtException', (error) => {
  if (error.message !== 'on purpose') throw error;
  thrown++;
});

function reply(slot, unique, error, bodyBytes) {
  const at = slot * SLOT_BYTES;
  view.setUint32(at, 16 + bodyBytes, true);
  view.setInt32(at + 4, -error, true);
  view.setBigUint64(at + 8, unique, true);
  const errno = channel.reply(at, 16 + bodyBytes);
  if (errno !== 0 && errno !== ENOENT) throw new Error(`reply: errno ${errno}`);
}

function replyInit(slot, unique) {
  const body = slot * SLOT_BYTES + 16;
  channel.memory.bytes.fill(0, body, body + 64);
  view.setUint32(body, 7, true);
  view.setUint32(body + 4, 31, true);
  view.setUint32(body + 8, 65536, true); // max_readahead
  view.setUint16(body + 16, 12, true); // max_background
  view.setUint16(body + 18, 9, true); // congestion_threshold
  view.setUint32(body + 20, 65536, true); // max_write
  view.setUint32(body + 24, 1, true); // time_gran
  reply(slot, unique, 0, 64);
}

/** Attributes of the root, sent as head and body apart. */
function replyAttributes(slot, unique) {
  const body = 16;
  const attributes = new DataView(bodyMemory.bytes.buffer);
  attributes.setBigUint64(0, 1n, true);
  attributes.setBigUint64(body, 1n, true);
  attributes.setUint32(body + 60, 0o40755, true);
  attributes.setUint32(body + 64, 2, true);
  const at = slot * SLOT_BYTES;
  view.setUint32(at, 16 + 104, true);
  view.setInt32(at + 4, 0, true);
  view.setBigUint64(at + 8, unique, true);
  const errno = channel.replyWithBody(at, 16, bodyMemory, 0, 104);
  if (errno !== 0) throw new Error(`replyWithBody: errno ${errno}`);
}
const bodyMemory = new native.AlignedMemory(4096);

function answer(slot) {
  const at = slot * SLOT_BYTES + HEAD;
  const opcode = view.getUint32(at + 4, true);
  const unique = view.getBigUint64(at + 8, true);
  if (opcode === INIT) replyInit(slot, unique);
  else if (opcode === GETATTR) replyAttributes(slot, unique);
  else if (opcode === LOOKUP) reply(slot, unique, ENOENT, 0);
  else if (opcode === DESTROY) reply(slot, unique, 0, 0);
  else if (opcode !== FORGET && opcode !== BATCH_FORGET && opcode !== INTERRUPT)
    reply(slot, unique, ENOSYS, 0);
  return opcode;
}

function serve(slot) {
  const opcode = answer(slot);
  if (mode === 'hold') setTimeout(() => channel.release(slot), 1);
  else channel.release(slot);
  if (mode === 'throw' && opcode === LOOKUP && thrown < 3) throw new Error('on purpose');
}

channel.setSpin(Number(process.env.SPIN ?? 50_000));
channel.start(
  (count) => {
    const batch = Array.from(channel.ready.subarray(0, count * 2));
    for (let pair = 0; pair < count; pair++) {
      if (mode === 'slow') setImmediate(() => serve(batch[pair * 2]));
      else serve(batch[pair * 2]);
    }
  },
  (errno) => {
    const { user, system } = process.cpuUsage();
    console.log(JSON.stringify({ errno, thrown, cpuMicroseconds: user + system, ...channel.statistics() }));
    channel.close();
    channel.close();
  },
);
console.log('mounted');
