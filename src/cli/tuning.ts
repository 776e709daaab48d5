/** What `quarry tune` asks of a daemon, as text and back. */

import type { SuperblockChanges } from '../fs/format/superblock.ts';
import { formatUuid } from '../inspect/value-text.ts';
import { parseUuid } from './uuids.ts';

/** Features are left out: of those a mount has decided already. */
export function encodeTuning({ label, shownUuid, mountOptions }: SuperblockChanges): string {
  return JSON.stringify({
    ...(label && { label: Buffer.from(label).toString() }),
    ...(shownUuid && { uuid: formatUuid(shownUuid) }),
    ...(mountOptions && { mountOptions: Buffer.from(mountOptions).toString() }),
  });
}

/** Whatever somebody sends; what it is too long or no text for, the volume refuses. */
export function decodeTuning(payload: string): SuperblockChanges {
  const { label, uuid, mountOptions }: Record<string, unknown> = Object(JSON.parse(payload));
  return {
    ...(typeof label === 'string' && { label: Buffer.from(label) }),
    ...(typeof uuid === 'string' && { shownUuid: parseUuid(uuid) }),
    ...(typeof mountOptions === 'string' && { mountOptions: Buffer.from(mountOptions) }),
  };
}
