/**
 * Access control lists as values of extended attributes: a header and entries, little-endian, as
 * the kernel has them in `system.posix_acl_access` and `system.posix_acl_default`
 * (linux/posix_acl_xattr.h, acl(5)).
 *
 *   owner · named users · owning group · named groups · mask · others
 *
 * There are an owner, an owning group and others, once each, and a mask where anybody is named.
 * Pure functions of the bytes.
 */
import { viewOf } from '../../common/bytes.ts';
import { ACL_VERSION, AclEntry, AclHeader, AclTag, NO_ID } from './format.ts';

const MOST_PERMISSIONS = 7;

/** Bits of a mode that an ACL stands for. */
const ACCESS_BITS = 0o777;

/** The tags that may follow each tag; 0 is the end. */
const FOLLOWERS: Readonly<Record<number, readonly number[]>> = {
  [AclTag.owner]: [AclTag.user, AclTag.group],
  [AclTag.user]: [AclTag.user, AclTag.group],
  [AclTag.group]: [AclTag.namedGroup, AclTag.mask, AclTag.other],
  [AclTag.namedGroup]: [AclTag.namedGroup, AclTag.mask],
  [AclTag.mask]: [AclTag.other],
  [AclTag.other]: [0],
};

/** An ACL without entries is how setxattr(2) says that there shall be none. */
export function isEmptyAcl(value: Uint8Array): boolean {
  return value.length === AclHeader.sizeBytes && AclHeader.version.get(viewOf(value), 0) === ACL_VERSION;
}

/**
 * What is wrong with a value as an ACL (posix_acl_valid in the kernel); undefined if nothing is.
 */
export function aclFlaw(value: Uint8Array): string | undefined {
  const entryBytes = value.length - AclHeader.sizeBytes;
  if (entryBytes < 0 || entryBytes % AclEntry.sizeBytes !== 0) return `it has ${value.length} bytes`;
  const view = viewOf(value);
  const version = AclHeader.version.get(view, 0);
  if (version !== ACL_VERSION) return `it is of version ${version}`;
  let allowed: readonly number[] = [AclTag.owner];
  let namesAnybody = false;
  for (let at = AclHeader.sizeBytes; at < value.length; at += AclEntry.sizeBytes) {
    const tag = AclEntry.tag.get(view, at);
    if (!allowed.includes(tag) || tag === 0) return `an entry of tag ${tag} is out of place`;
    if (AclEntry.permissions.get(view, at) > MOST_PERMISSIONS) return 'it permits what there is not';
    const isName = tag === AclTag.user || tag === AclTag.namedGroup;
    if (isName && AclEntry.id.get(view, at) === NO_ID) return 'it names nobody';
    namesAnybody ||= isName;
    if (tag === AclTag.other && namesAnybody && !hasMask(value)) return 'it has no mask';
    allowed = FOLLOWERS[tag] ?? [];
  }
  return allowed.includes(0) ? undefined : 'it ends too early';
}

/** Where the first entry of this tag stands, −1 if there is none. */
function findTag(value: Uint8Array, tag: number): number {
  const view = viewOf(value);
  for (let at = AclHeader.sizeBytes; at < value.length; at += AclEntry.sizeBytes)
    if (AclEntry.tag.get(view, at) === tag) return at;
  return -1;
}

function hasMask(value: Uint8Array): boolean {
  return findTag(value, AclTag.mask) >= 0;
}

/** Where the group bits of a mode stand: in the mask, or without one in the owning group. */
function groupEntryAt(value: Uint8Array): number {
  const mask = findTag(value, AclTag.mask);
  return mask >= 0 ? mask : findTag(value, AclTag.group);
}

/** Whether the ACL says no more than a mode can. */
export function isModeOnly(value: Uint8Array): boolean {
  return !hasMask(value);
}

/** The nine bits of a mode that the ACL shows as. */
export function modeOfAcl(value: Uint8Array): number {
  const view = viewOf(value);
  const permissions = (at: number) => AclEntry.permissions.get(view, at);
  const owner = permissions(findTag(value, AclTag.owner));
  const other = permissions(findTag(value, AclTag.other));
  return (owner << 6) | (permissions(groupEntryAt(value)) << 3) | other;
}

/** The same ACL with owner, mask (or owning group) and others as in this mode; a copy. */
export function withMode(value: Uint8Array, mode: number): Uint8Array {
  const changed = new Uint8Array(value);
  const view = viewOf(changed);
  AclEntry.permissions.set(view, findTag(changed, AclTag.owner), (mode >> 6) & 7);
  AclEntry.permissions.set(view, groupEntryAt(changed), (mode >> 3) & 7);
  AclEntry.permissions.set(view, findTag(changed, AclTag.other), mode & 7);
  return changed;
}

/**
 * The mode of a file that is asked for with this one where a directory has this default ACL: what
 * both permit (posix_acl_create in the kernel). Its ACL is `withMode` of that.
 */
export function inheritedMode(defaultAcl: Uint8Array, mode: number): number {
  return mode & (modeOfAcl(defaultAcl) | ~ACCESS_BITS);
}
