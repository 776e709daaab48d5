/**
 * Targets, opened for good. Between the look at a path and its opening somebody else may put
 * another file there, or a link to one that he may not write himself; so what was opened must be
 * what was looked at, and is held (storage-hold.ts).
 */
import { type KernelDevice, type KernelDeviceOptions, openKernelDevice } from '../aio/kernel-device.ts';
import { requireSame, type Target } from './target.ts';

/** @throws CommandError if it is another by now; what `openKernelDevice` throws */
export function openTarget(target: Target, options: KernelDeviceOptions): KernelDevice {
  const device = openKernelDevice(target.path, options);
  try {
    requireSame(target, device.descriptor);
    return device;
  } catch (thrown) {
    void device.close();
    throw thrown;
  }
}
