/**
 * The modules of src/ that the document is made of: compiled ones for the script, the sources for
 * the test.
 */
export interface FormatModules {
  readonly format: typeof import('../../src/fs/format/format.ts');
  readonly layout: typeof import('../../src/fs/format/layout.ts');
  readonly nameHash: typeof import('../../src/fs/format/name-hash.ts');
  readonly crc32c: typeof import('../../src/crc32c.ts');
  readonly mkfs: typeof import('../../src/fs/mkfs.ts');
  readonly volume: typeof import('../../src/fs/volume.ts');
  readonly memory: typeof import('../../src/sim/memory-device.ts');
  readonly firstFit: typeof import('../../src/alloc/first-fit.ts');
  readonly blockParts: typeof import('../../src/inspect/block-parts.ts');
  readonly partsText: typeof import('../../src/cli/parts-text.ts');
}

/**
 * The text of docs/FORMAT.md, from the modules, the text of src/fs/format/format.ts and the
 * template.
 */
export function makeFormatDocument(modules: FormatModules, source: string, template: string): Promise<string>;
