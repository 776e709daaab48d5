// Emptiest-group: each file starts in the group with the most room, and goes on where it ended.
//
//   quarry mount volume.img mnt --allocator ./examples/allocators/emptiest-group.js
//
// A policy is an object with a name and a function that makes it from the free space. It answers with a run of free
// blocks and changes nothing; docs/ALLOCATORS.md says what it may ask and what it must promise.

/** The group with the most free blocks: each question raises the bar until no group passes. */
function emptiestGroup(space) {
  let best = -1;
  for (let bar = 1; ; bar = space.freeInGroup(best) + 1) {
    const better = space.nextGroup(0, bar);
    if (better < 0) return best;
    best = better;
  }
}

export default {
  name: 'emptiest-group',
  create(space) {
    return {
      allocate({ goal, length, minimum }) {
        const ahead = goal < 0 ? 0 : space.freeRunLength(goal, length);
        if (ahead >= minimum) return { start: goal, length: ahead };
        const group = emptiestGroup(space);
        if (group < 0) return undefined;
        const from = group * space.groupBlocks;
        const end = Math.min(from + space.groupBlocks, space.blockCount);
        // The full length here, else anything that will do here, else anything that will do.
        return (
          space.findRun(from, end, length, length) ??
          space.findRun(from, end, minimum, length) ??
          space.findRun(0, space.blockCount, minimum, length)
        );
      },
    };
  },
};
