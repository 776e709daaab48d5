/**
 * Mounting: how an open /dev/fuse becomes a directory of files.
 *
 * Root mounts by mount(2): as `fuseblk` on a block device, so that umount(2) waits until the volume
 * is clean, and as `fuse` on an image file. Anybody else asks fusermount3 (fusermount.ts).
 *
 * From the moment of the mount until the session answers, whoever touches the directory waits. So
 * nobody here looks at the mountpoint afterwards: the kernel's mountinfo tells what there is to
 * know.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { isRoot } from '../common/permissions.ts';
import { native } from '../native.ts';
import { mountByHelper } from './fusermount.ts';
import { LEAST_PREFERRED_BYTES } from './limits.ts';
import { advised, NO_FUSE_DEVICE } from './mount-error.ts';
import type { FuseMountRequest } from './mount-request.ts';

function openFuseDevice(): number {
  try {
    return openSync('/dev/fuse', constants.O_RDWR | constants.O_NONBLOCK);
  } catch (thrown) {
    const advice = {
      ENOENT: NO_FUSE_DEVICE,
      ENODEV: NO_FUSE_DEVICE,
      ENXIO: NO_FUSE_DEVICE,
      EACCES: 'no permission to open /dev/fuse: run as root',
      EPERM: 'no permission to open /dev/fuse: run as root, or start the container with --device /dev/fuse',
    };
    throw advised(thrown, advice, '/dev/fuse cannot be opened');
  }
}

/**
 * Holds the mount namespace of this process, so that its end can never wait for itself.
 *
 * The last process of a namespace ends its mounts when it exits, and for a `fuseblk` mount the
 * kernel then waits for the server's answer to DESTROY. A server that was killed there would wait
 * for its own answer for ever, since the kernel gives up the namespace before the files. With this
 * file open it is the files that give the namespace up, the one opened last first: /dev/fuse is
 * closed, which ends the connection, and then the namespace.
 *
 * To be called just before /dev/fuse is opened, since the order of the numbers counts.
 */
function holdNamespace(): number | undefined {
  try {
    return openSync('/proc/self/ns/mnt', constants.O_RDONLY);
  } catch {
    // Without /proc there is no container either.
    return undefined;
  }
}

/** The data of mount(2) for fuse: fuse_fs_parameters in the kernel. */
function mountData(descriptor: number, request: FuseMountRequest): string {
  const { options, blockDevice } = request;
  const parts = [
    `fd=${descriptor}`,
    'rootmode=40000',
    `user_id=${process.geteuid?.() ?? 0}`,
    `group_id=${process.getegid?.() ?? 0}`,
    'default_permissions',
    `max_read=${options.maxReadBytes}`,
  ];
  if (options.allowOther) parts.push('allow_other');
  if (blockDevice) parts.push(`blksize=${LEAST_PREFERRED_BYTES}`);
  return parts.join(',');
}

function mountAsRoot(request: FuseMountRequest): number {
  const { source, directory, options, blockDevice } = request;
  const namespace = holdNamespace();
  const descriptor = openFuseDevice();
  const type = `${blockDevice ? 'fuseblk' : 'fuse'}.${options.subtype}`;
  const shown = blockDevice ? source : (options.fsname ?? source);
  try {
    if (blockDevice) request.releaseClaim?.();
    native.mountFuse(shown, directory, type, options.flags, mountData(descriptor, request));
  } catch (thrown) {
    closeSync(descriptor);
    if (namespace !== undefined) closeSync(namespace);
    const advice = {
      EPERM: `not allowed to mount on ${directory}: this needs CAP_SYS_ADMIN (docker run --cap-add SYS_ADMIN --device /dev/fuse)`,
      EBUSY: `${source} is in use: unmount it, or stop the program that holds it`,
      ENODEV: "this kernel has no FUSE: load it with 'modprobe fuse'",
      EACCES: `${source} is write-protected: mount it with -o ro`,
      EROFS: `${source} is write-protected: mount it with -o ro`,
    };
    throw advised(thrown, advice, `cannot mount ${source} on ${directory}`);
  }
  return descriptor;
}

/**
 * Mounts, and returns the open /dev/fuse that serves the mount. The kernel's INIT waits in it.
 *
 * @throws MountError
 */
export async function mount(request: FuseMountRequest): Promise<number> {
  return isRoot() ? mountAsRoot(request) : await mountByHelper(request);
}
