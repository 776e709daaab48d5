/** What may stand in an ACL, looked at without the code that writes them. */
import { ACCESS_ACL_NAME, DEFAULT_ACL_NAME } from '../common/attribute-names.ts';
import { sameBytes, viewOf } from '../common/bytes.ts';
import {
  ACL_VERSION,
  AclEntry,
  AclHeader,
  AclTag,
  FILE_TYPE_MASK,
  FileType,
  NO_ID,
} from '../fs/format/format.ts';

const ONCE: readonly number[] = [AclTag.owner, AclTag.group, AclTag.other];
const NAMED: readonly number[] = [AclTag.user, AclTag.namedGroup];
const MOST_PERMISSIONS = 7;

interface Entry {
  readonly tag: number;
  readonly permissions: number;
  readonly id: number;
}

function entriesOf(value: Uint8Array): Entry[] {
  const view = viewOf(value);
  const entries: Entry[] = [];
  for (let at = AclHeader.sizeBytes; at < value.length; at += AclEntry.sizeBytes) {
    const tag = AclEntry.tag.get(view, at);
    entries.push({ tag, permissions: AclEntry.permissions.get(view, at), id: AclEntry.id.get(view, at) });
  }
  return entries;
}

function entriesFlaw(entries: readonly Entry[]): string | undefined {
  const count = (tag: number) => entries.filter((entry) => entry.tag === tag).length;
  const tags: readonly number[] = Object.values(AclTag);
  if (entries.some(({ tag }) => !tags.includes(tag))) return 'it has an entry of no known tag';
  if (ONCE.some((tag) => count(tag) !== 1)) return 'owner, group and others are not there once each';
  if (count(AclTag.mask) > 1) return 'it has two masks';
  if (entries.some(({ tag }, at) => at > 0 && tag < (entries[at - 1]?.tag ?? 0))) return 'it is not in order';
  if (entries.some(({ permissions }) => permissions > MOST_PERMISSIONS))
    return 'it permits what there is not';
  const named = entries.filter(({ tag }) => NAMED.includes(tag));
  if (named.some(({ id }) => id === NO_ID)) return 'it names nobody';
  return named.length > 0 && count(AclTag.mask) === 0 ? 'it names somebody, and has no mask' : undefined;
}

export function isAclName(name: Uint8Array): boolean {
  return sameBytes(name, ACCESS_ACL_NAME) || sameBytes(name, DEFAULT_ACL_NAME);
}

/**
 * What is wrong with an ACL in this place; undefined if nothing is.
 * @param mode of the inode that has it
 */
export function accessListFlaw(name: Uint8Array, value: Uint8Array, mode: number): string | undefined {
  const type = mode & FILE_TYPE_MASK;
  if (type === FileType.symlink) return 'it is of a symlink';
  if (sameBytes(name, DEFAULT_ACL_NAME) && type !== FileType.directory) return 'it is of no directory';
  const bytes = value.length - AclHeader.sizeBytes;
  if (bytes < 0 || bytes % AclEntry.sizeBytes !== 0) return `it has ${value.length} bytes`;
  if (AclHeader.version.get(viewOf(value), 0) !== ACL_VERSION) return 'it is of another version';
  return entriesFlaw(entriesOf(value));
}
