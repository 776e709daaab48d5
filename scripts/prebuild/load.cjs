/** Loads one addon, and uses of it what needs nothing of libuv: `load.cjs FILE`. Prints what it found. */
const addon = require(require('node:path').resolve(process.argv[2]));

const bytes = new Uint8Array(Buffer.from('123456789'));
const found = {
  exports: Object.keys(addon).length,
  sum: addon.crc32c(bytes, 0, bytes.length, 0).toString(16),
  table: addon.crc32cByTable(bytes, 0, bytes.length, 0).toString(16),
  memory: new addon.AlignedMemory(8192).bytes.length,
  limits: addon.resourceLimit(7).length,
  // Through a C++ exception.
  refused: '',
};
try {
  addon.crc32c('no bytes', 0, 1, 0);
} catch (error) {
  found.refused = error.name;
}
console.log(JSON.stringify(found));
