/**
 * Who else holds a mounted filesystem: bind mounts, and other mount namespaces, as /proc tells it.
 * A filesystem ends when the last of its mounts does, wherever that is.
 */
import { readlinkSync } from 'node:fs';
import { printable } from '../common/printable.ts';
import { type MountRecord, mountTable, parseMountinfo } from '../fuse/mount-table.ts';
import { processName, processNumbers, readIfThere } from './processes.ts';

/** More are not named. */
const MOST_NAMED = 8;

function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}

function placesIn(pid: string, { id, deviceNumbers, type }: MountRecord): string[] {
  const mounts = parseMountinfo(readIfThere(`/proc/${pid}/mountinfo`));
  return mounts
    .filter((mount) => mount.deviceNumbers === deviceNumbers && mount.type === type && mount.id !== id)
    .map(({ directory }) => printable(directory));
}

/** What still holds the filesystem of a mount, besides that mount and open files, in words. */
export function programsOn(mount: MountRecord): string[] {
  const own = namespaceOf('self');
  const seen = new Set<string | undefined>([own, undefined]);
  const holders = placesIn('self', mount).map((place) => `the mount on ${place}`);
  for (const pid of processNumbers()) {
    const namespace = namespaceOf(pid);
    if (seen.has(namespace)) continue;
    seen.add(namespace);
    const [place] = placesIn(pid, mount);
    if (place === undefined) continue;
    holders.push(`${place} in the mount namespace of ${processName(pid)}`);
  }
  return holders.slice(0, MOST_NAMED);
}

/**
 * Whether a mount is one more of a filesystem that is mounted anyway: all of it again, later than
 * at another place, or a part. Looked at before it is unmounted.
 *
 * @returns tells afterwards whether the filesystem is still mounted where that was seen
 */
export function isSecondMount(mount: MountRecord): () => boolean {
  if (mount.root !== '/') return () => programsOn(mount).length > 0;
  const table = mountTable();
  const at = table.findIndex(({ id }) => id === mount.id);
  const before = table.slice(0, Math.max(0, at));
  const isWhole = ({ deviceNumbers, type, root }: MountRecord) =>
    deviceNumbers === mount.deviceNumbers && type === mount.type && root === '/';
  const first = before.find(isWhole);
  return () => first !== undefined && mountTable().some((other) => other.id === first.id && isWhole(other));
}
