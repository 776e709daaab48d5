/**
 * A filesystem on a directory: mount, channel and session put together.
 *
 * `serve` resolves when the mount answers. From then on the event loop serves it, until
 * `session.closed`: the mount is gone and the volume clean.
 */
import { closeSync } from 'node:fs';
import type { FileSystem } from '../fs/base/filesystem.ts';
import type { FuseChannelHandle } from '../native.ts';
import { tuneBacking } from './backing-device.ts';
import { openChannel } from './channel.ts';
import { DirtyLimits } from './dirty-limits.ts';
import { mount } from './mount.ts';
import type { FuseMountRequest } from './mount-request.ts';
import { findMount } from './mount-table.ts';
import { Session, type SessionOptions } from './session.ts';
import { synchronousRequests } from './synchronous.ts';
import { abandonMount } from './unmount.ts';

export interface ServeRequest extends FuseMountRequest, SessionOptions {
  readonly filesystem: FileSystem;
}

function openOrClose(descriptor: number, request: ServeRequest): FuseChannelHandle {
  try {
    return openChannel(descriptor, request.filesystem.blockBytes, request.options.spinNanoseconds);
  } catch (thrown) {
    closeSync(descriptor);
    throw thrown;
  }
}

/**
 * Waits for the kernel's greeting. On failure closes the channel, which ends the connection, and
 * unmounts the filesystem.
 */
async function greet(channel: FuseChannelHandle, session: Session): Promise<void> {
  session.start();
  try {
    await session.initialized;
  } catch (thrown) {
    channel.close();
    await session.unmount();
    throw thrown;
  }
}

async function startSession(descriptor: number, request: ServeRequest): Promise<Session> {
  const channel = openOrClose(descriptor, request);
  const synchronous = synchronousRequests(request.options.flags);
  const attributeSupport = request.options;
  const session = new Session(channel, request.filesystem, { ...request, synchronous, attributeSupport });
  await greet(channel, session);
  return session;
}

/**
 * Takes a mount away that could not be served: the topmost on its directory, if that is still it.
 */
async function abandonOwn({ directory, options }: ServeRequest): Promise<void> {
  const mount = findMount(directory);
  if (mount?.type.endsWith(`.${options.subtype}`)) await abandonMount(mount).catch(() => {});
}

/** From now on no more is dirty in the kernel than there is room for. */
async function limitDirtyPages(session: Session, backing: string): Promise<void> {
  const { filesystem, space } = session;
  await new Promise<unknown>((resolve) => {
    filesystem.execute({ perform: (tx) => filesystem.statistics(tx, space), finished: resolve });
    filesystem.submit();
  });
  session.dirtyLimits = new DirtyLimits(backing, () => filesystem.freeBytes);
}

/**
 * Mounts `request.filesystem` and begins to serve it.
 *
 * @throws MountError, or what the channel or the kernel's greeting failed with. Nothing stays
 * mounted then; if it was a MountError, the filesystem is untouched and the caller's to unmount.
 */
export async function serve(request: ServeRequest): Promise<Session> {
  const { directory } = request;
  const descriptor = await mount(request);
  try {
    const session = await startSession(descriptor, request);
    const backing = tuneBacking(directory);
    if (backing !== undefined) await limitDirtyPages(session, backing);
    return session;
  } catch (thrown) {
    await abandonOwn(request);
    throw thrown;
  }
}
