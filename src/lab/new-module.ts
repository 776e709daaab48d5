/**
 * The allocator module that somebody begins with, in TypeScript or JavaScript: every hook with a
 * word about it, and a policy of a few lines that works.
 *
 * There is one text. What only TypeScript has stands between marks, `«…»`.
 */

/** Endings that such a module may have, and whether they mean types. */
const ENDINGS: ReadonlyMap<string, boolean> = new Map([
  ['.ts', true],
  ['.mts', true],
  ['.js', false],
  ['.mjs', false],
]);

/** Is this an ending of a module that can be written? */
export function isModuleEnding(ending: string): boolean {
  return ENDINGS.has(ending);
}

/**
 * @param name of the policy: printable, without quotes and backslashes
 * @param ending one that `isModuleEnding` knows
 * @param file as it is named on a command line
 */
export function newModuleText(name: string, ending: string, file: string): string {
  const hasTypes = ENDINGS.get(ending) ?? false;
  return TEMPLATE.slice(1)
    .replaceAll(/^ {2}/gm, '')
    .replace('IMPORT\n', hasTypes ? '' : "import { defineAllocator } from 'quarryfs/alloc';\n")
    .replace(/«([^»]*)»/g, hasTypes ? '$1' : '')
    .replaceAll('NAME', () => name)
    .replaceAll('FILE', () => file);
}

/** Its margin of two blanks is none of it. */
const TEMPLATE = `
  // An allocator for Quarry: which of the free blocks a file gets.
  //
  //   quarry lab verify FILE                        tries every rule that it has to keep
  //   quarry mount disk.img mnt --allocator FILE    uses it
  //
  // It only answers: the volume checks each answer and takes the blocks itself. So a mistake costs
  // speed or space, never data. What stands below the name is optional, but for create() and
  // allocate(). docs/ALLOCATORS.md of quarryfs says all of this at length.
  «//
  // Quarry strips the types and answers the import, wherever this file lies. An editor, or tsc,
  // needs quarryfs for them: 'npm install quarryfs', or 'npm link quarryfs', in this folder.
  import {
    type Allocator,
    type AllocatorOptions,
    defineAllocator,
    type FreeSpace,
  } from 'quarryfs/alloc';
  »IMPORT

  export default defineAllocator({
    name: 'NAME',

    // What '--allocator-options patience=8' may say, and what it means. Anything else is refused.
    options: { patience: 'groups to look into for a run of the full length (default 4)' },

    // Called once for each mount. The values of options are text. State belongs in here: outside of
    // create() two volumes would share it.
    create(space«: FreeSpace», options«: AllocatorOptions»)«: Allocator» {
      const patience = Number(options['patience'] ?? 4);
      if (!Number.isInteger(patience) || patience < 1) {
        throw new Error(\`patience=\${options['patience']} is no whole number from 1 on\`);
      }
      // Where each file began, by its inode.
      const homes = new Map«<number, number>»();

      return {
        // The question: a free run of 'minimum' to 'length' blocks inside one group, the longer
        // the better; undefined only if there is none. 'goal' is the block after the file's last
        // one, or -1; 'kind' says what the blocks are for; with 'stream' more will follow. A
        // question to the space may throw, since a bitmap is not in memory: let it pass, and this
        // is called again. So change no state in here.
        allocate({ goal, inode, length, minimum }) {
          // Going on where the file ended beats any other place.
          const ahead = goal < 0 ? 0 : space.freeRunLength(goal, length);
          if (ahead >= minimum) return { start: goal, length: ahead };
          // The full length from where the file began on, if that is soon found; or what will do.
          const home = homes.get(inode) ?? 0;
          return (
            space.findRun(home, space.blockCount, length, length, patience) ??
            space.findRun(home, space.blockCount, minimum, length) ??
            space.findRun(0, space.blockCount, minimum, length)
          );
        },

        // The run was taken: here state may change.
        taken(run, { inode }) {
          if (!homes.has(inode)) homes.set(inode, run.start);
        },

        // The run is free again. For an index of your own; this policy needs none.
        release(_run) {},

        // The file is gone: let go of what was kept for it.
        forgetInode(inode) {
          homes.delete(inode);
        },

        // Figures for 'quarry stat' and the laboratory.
        stats() {
          return { files: homes.size };
        },

        // For tests: throw if an index of your own contradicts the space.
        checkInvariants() {
          for (const [inode, start] of homes) {
            if (start >= space.blockCount) throw new Error(\`inode \${inode} began at \${start}\`);
          }
        },
      };
    },
  });
`;
