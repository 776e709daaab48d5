/**
 * The end of a mount by force: its daemon is killed, its connection ended, what is left of it taken
 * away.
 *
 * Only a process that the kernel says serves this very connection is killed. Without one (it has
 * ended, or waits for itself in the kernel) the connection alone is ended: that lets go of whoever
 * waits for it.
 */
import { ErrandError, runErrand } from '../fuse/errand.ts';
import { connectionOf, type MountRecord } from '../fuse/mount-table.ts';
import { abandonMount } from '../fuse/unmount.ts';
import { native } from '../native.ts';
import { waitForRelease, waitForSource } from './dead-mount.ts';
import { CommandError, failureLine } from './failure.ts';
import { serverOf, serverOfConnection } from './mount-server.ts';
import { numbersOf } from './storage-layers.ts';
import { inspectTarget } from './target.ts';

const KILL_MILLISECONDS = 5000;
const ABORT_MILLISECONDS = 5000;
const RELEASE_MILLISECONDS = 5000;

/** Kills the server. @returns what was done, for people; undefined if there is none */
async function killServer(mount: MountRecord): Promise<string | undefined> {
  const server = serverOf(mount);
  if (server === undefined) return undefined;
  try {
    const errno = server.kill();
    if (errno !== 0)
      throw new CommandError(`not allowed to end the daemon of ${mount.directory} (${server.text})`);
    // One that waits in the kernel ends only with the connection.
    await server.ended(AbortSignal.timeout(KILL_MILLISECONDS));
    return `its daemon (${server.text}) is killed`;
  } finally {
    server.close();
  }
}

/** Ends a connection. @returns whether there was one */
async function abort(connection: number): Promise<boolean> {
  try {
    await runErrand(native.startAbort(connection), AbortSignal.timeout(ABORT_MILLISECONDS));
    return true;
  } catch (thrown) {
    if (thrown instanceof ErrandError && thrown.code === 'ENOENT') return false;
    throw new CommandError(`the FUSE connection ${connection} cannot be ended: ${failureLine(thrown)}`, {
      cause: thrown,
    });
  }
}

/** @returns what was done, as one line. @throws CommandError, MountError */
export async function unmountByForce(mount: MountRecord): Promise<string> {
  const { directory, source } = mount;
  const killed = await killServer(mount);
  await abort(connectionOf(mount)).catch((thrown: unknown) => {
    // Its end came with its server's.
    if (killed === undefined) throw thrown;
  });
  await abandonMount(mount, AbortSignal.timeout(KILL_MILLISECONDS));
  await waitForSource(
    mount,
    RELEASE_MILLISECONDS,
    `${source} is still held: end who has files open in ${directory}`,
  );
  const what = killed ?? 'its connection is ended';
  return `${directory}: ${what} and the mount taken away; ${source} recovers when it is mounted next`;
}

/**
 * Ends what holds a block device although no mount of it can be seen: a connection whose daemon
 * died with its mount namespace.
 * @returns what was done, as one line. @throws CommandError if there is nothing like that
 */
export async function releaseByForce(name: string): Promise<string> {
  const target = inspectTarget(name);
  const [major, minor] = (numbersOf(target.id) ?? '').split(':').map(Number);
  if (major === undefined || minor === undefined) throw new CommandError(`${name} is not mounted`);
  const connection = major * 2 ** 20 + minor;
  const server = serverOfConnection(connection);
  server?.close();
  if (server) {
    throw new CommandError(
      `${name} is mounted in another mount namespace, by ${server.text}: unmount it there`,
    );
  }
  if (!(await abort(connection))) {
    throw new CommandError(`${name} is not mounted, and no FUSE connection holds it`);
  }
  await waitForRelease(target.path, RELEASE_MILLISECONDS, `${name} is still held`);
  return `${name}: the FUSE connection that held it is ended; it recovers when it is mounted next`;
}
