// @ts-check
/**
 * The worked example: a real volume, made in memory by the filesystem's own code with a fixed id,
 * seed and clock, and shown by the code of `quarry dump`. So what docs/FORMAT.md shows is what is
 * on disk.
 *
 * One file is made and synced. Then the bytes are kept as a crash would leave them, the volume is
 * unmounted, and they are kept again.
 */

/**
 * @typedef {import('./document').FormatModules & { tables: typeof import('./tables.mjs') }}
 * FormatModules
 */

const BLOCK_BYTES = 1024;
const BLOCKS = 256;
const JOURNAL_BLOCKS = 64;
const NAME = 'hello';
const CONTENT = 'Hello, disk.\n';
/** 2026-01-01T00:00:00Z. */
const SECONDS = 1767225600;

/** Seed of the name hash, and salt of the journal. */
const SALT = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const NAME_SECRET = new Uint8Array(16).map((_, i) => i);

/** Stands still. */
const clock = { seconds: SECONDS, nanoseconds: 0, read() {} };

/** @param {FormatModules} modules */
async function makeVolume({ mkfs, memory, volume, firstFit }) {
  const device = new memory.MemoryDevice(BLOCKS * BLOCK_BYTES, 512);
  await mkfs.formatVolume(device, {
    blockBytes: BLOCK_BYTES,
    journalBlocks: JOURNAL_BLOCKS,
    label: 'example',
    uuid: Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i),
    journalSalt: SALT,
    nameSecret: NAME_SECRET,
    uid: 0,
    gid: 0,
    clock,
  });
  const mounted = await volume.openVolume(device, { clock, commitSeconds: 0, allocator: firstFit.default });
  const caller = { uid: 1000, gid: 1000, umask: 0o022 };
  const request = { mode: 0o100666, deviceNumber: 0, caller };
  const inode = await mounted.run((tx) => mounted.create(tx, 1, new TextEncoder().encode(NAME), request));
  await write(device, mounted, inode);
  await mounted.sync();
  const crashed = device.peek(0, device.sizeBytes);
  await mounted.unmount();
  return { layout: mounted.layout, crashed, clean: device.peek(0, device.sizeBytes) };
}

/** @param {any} device @param {any} mounted @param {number} inode */
function write(device, mounted, inode) {
  const data = new TextEncoder().encode(CONTENT);
  const memory = device.allocateMemory(4 * BLOCK_BYTES);
  memory.bytes.set(data);
  return new Promise((resolve, reject) => {
    mounted.write({
      inode,
      offsetBytes: 0,
      lengthBytes: data.length,
      memory,
      memoryOffset: 0,
      updateTimes: true,
      killPrivileges: false,
      mayEndEarly: false,
      /** @param {unknown} thrown */
      finished: (thrown) => (thrown === undefined ? resolve(undefined) : reject(thrown)),
    });
    mounted.submit();
  });
}

/**
 * The pieces of the example by name.
 * @param {FormatModules} modules
 * @returns {Promise<Record<string, string>>}
 */
export async function makeExample(modules) {
  const { crashed, clean, layout } = await makeVolume(modules);
  const { blockParts, partsText, format, crc32c } = modules;
  /** @param {Uint8Array} image @param {number} block */
  const blockOf = (image, block) => image.slice(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
  /** @param {Uint8Array} image @param {number} block @param {(title: string) => boolean} wanted */
  const parts = (image, block, wanted = () => true) => {
    const all = blockParts.blockParts(blockOf(image, block)) ?? [];
    return fenced(partsText.partsText(all.filter(({ title }) => wanted(title))));
  };
  const log = layout.journalStart + format.JOURNAL_HEADS;
  const descriptor = blockOf(crashed, log);
  const copies = format.JournalDescriptor.count.get(viewOf(descriptor), 0);
  const inodeBlocks = blocksOfKind(modules, clean, format.BlockKind.inodes);
  return {
    map: fenced(mapText(modules, clean)),
    raw: fenced(`${modules.blockParts.hexLines(clean.slice(0, 128)).join('\n')}\n`),
    superblock: parts(clean, 0),
    'first-head': parts(crashed, layout.journalStart),
    'second-head': parts(clean, layout.journalStart + 1),
    descriptor: parts(crashed, log),
    commit: parts(crashed, log + copies + 1),
    directory: parts(clean, inodeBlocks[0], (title) => title !== 'block header'),
    file: parts(clean, inodeBlocks[1]),
    'name-keys': nameKeys(modules),
    crc: `0x${crc32c.crc32c(new TextEncoder().encode('123456789'), 0, 9, 0).toString(16)}`,
  };
}

/** Names and their keys, to try an implementation with. @param {FormatModules} modules */
function nameKeys({ nameHash, tables }) {
  const secret = new nameHash.NameSecret(NAME_SECRET);
  const rows = ['a', NAME, 'README.md', 'naïve', 'x'.repeat(255)].map((name) => {
    const key = nameHash.nameKey(new TextEncoder().encode(name), secret);
    return [
      name.length > 50 ? '`x`, 255 times' : `\`${name}\``,
      `${key}`,
      `0x${key.toString(16).padStart(13, '0')}`,
    ];
  });
  return tables.markdownTable(['NAME', 'KEY', 'KEY, HEXADECIMAL'], rows, new Set([1]));
}

/** @param {Uint8Array} bytes */
function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** @param {string} text */
function fenced(text) {
  return `\`\`\`text\n${text.trimEnd()}\n\`\`\``;
}

/**
 * Blocks outside the journal that say they are of this kind.
 * @param {FormatModules} modules
 * @param {Uint8Array} image
 * @param {number} kind
 */
function blocksOfKind({ format }, image, kind) {
  const blocks = [];
  for (let block = JOURNAL_BLOCKS; block < BLOCKS; block++) {
    const view = viewOf(image.slice(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));
    if (format.BlockHeader.kind.get(view, 0) === kind) blocks.push(block);
  }
  return blocks;
}

/**
 * Blocks that are not all zeros, by what they are.
 * @param {FormatModules} modules
 * @param {Uint8Array} image
 */
function mapText({ format }, image) {
  const names = new Map(Object.entries(format.BlockKind).map(([name, kind]) => [kind, name]));
  const lines = [];
  for (let block = 0; block < BLOCKS; block++) {
    const bytes = image.slice(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
    if (bytes.every((byte) => byte === 0)) continue;
    const view = viewOf(bytes);
    const kind = names.get(format.BlockHeader.kind.get(view, 0));
    const claimed = format.BlockHeader.block.get(view, 0);
    const what = claimed === block ? kind : `copy of block ${claimed} (${kind})`;
    lines.push(`block ${`${block}`.padStart(3)}  at byte ${`${block * BLOCK_BYTES}`.padStart(6)}  ${what}`);
  }
  return `${lines.join('\n')}\n`;
}
