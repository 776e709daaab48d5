/** What takes the place of something is made beside it, under its own name, until it is whole. */
import { codeOf } from '../common/thrown.ts';
import { pathText } from '../path-bytes.ts';
import { below, type TargetTree } from './tree-sides.ts';

/** Errors are about the place, whatever the name was when they came up. */
function errorFor(thrown: unknown, at: Buffer, to: Buffer): unknown {
  if (!(thrown instanceof Error) || !('syscall' in thrown)) return thrown;
  const { path, dest } = thrown as { path?: unknown; dest?: unknown };
  const name = at.subarray(at.lastIndexOf(0x2f) + 1).toString();
  const isAt = (one: unknown) => typeof one === 'string' && one.endsWith(`/${name}`);
  if (isAt(path)) return Object.assign(thrown, { path: pathText(to), dest: undefined });
  return isAt(dest) ? Object.assign(thrown, { dest: pathText(to) }) : thrown;
}

/** What is half made at `at` goes when that fails; what somebody else has there stays. */
async function madeOrGone(target: TargetTree, at: Buffer, make: () => Promise<void>): Promise<void> {
  try {
    await make();
  } catch (thrown) {
    if (codeOf(thrown) !== 'EEXIST') await target.remove(at).catch(() => {});
    throw thrown;
  }
}

/** Makes what is to be where nothing is. */
export function madeThere(
  target: TargetTree,
  to: Buffer,
  make: (at: Buffer) => Promise<void>,
): Promise<void> {
  return madeOrGone(target, to, () => make(to));
}

/** Makes it beside the place, and moves it there: until it is whole, what is there stays. */
export async function madeBeside(
  target: TargetTree,
  to: Buffer,
  make: (at: Buffer) => Promise<void>,
): Promise<void> {
  const directory = to.subarray(0, to.lastIndexOf(0x2f) + 1);
  for (let number = 0; ; number++) {
    const at = below(directory, Buffer.from(`.quarry-${number}`));
    if ((await target.typeAt(at, false)) !== 0) continue;
    try {
      await madeOrGone(target, at, async () => {
        await make(at);
        await target.move(at, to);
      });
      return;
    } catch (thrown) {
      // Somebody was faster.
      if (codeOf(thrown) !== 'EEXIST') throw errorFor(thrown, at, to);
    }
  }
}
