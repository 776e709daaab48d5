/**
 * Which extended attributes a mount has: the namespaces of xattr(7), less what its options leave
 * out.
 *
 * Who may do what with which is decided in the kernel before it asks, but for the names of
 * `trusted.`, which whoever is not root is not shown.
 */
import { existsSync } from 'node:fs';
import { ACCESS_ACL_NAME, DEFAULT_ACL_NAME } from '../common/attribute-names.ts';
import { hasBytesAt, sameBytes } from '../common/bytes.ts';

/** What a mount was asked for: xattr, user_xattr, acl. */
export interface AttributeSupport {
  /** False: there are none at all, and the kernel stops asking. */
  readonly attributes: boolean;
  /** Attributes of the namespace `user.`. */
  readonly userAttributes: boolean;
  readonly acl: boolean;
}

export const ALL_ATTRIBUTES: AttributeSupport = { attributes: true, userAttributes: true, acl: true };

/** There exactly where the kernel knows what a label of SELinux means. */
const SELINUX_PLACE = '/sys/fs/selinux';
const LABEL_NAME = new TextEncoder().encode('security.selinux');
let hasSelinux: boolean | undefined;

function prefix(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
const USER = prefix('user.');
const TRUSTED = prefix('trusted.');
const SECURITY = prefix('security.');
const NONE = prefix('');

function isIn(namespace: Uint8Array, name: Uint8Array): boolean {
  return name.length >= namespace.length && hasBytesAt(name, 0, namespace);
}

/** The namespace of a name that attributes here can have; of an ACL the empty one. */
function namespaceOf(name: Uint8Array, { userAttributes, acl }: AttributeSupport): Uint8Array | undefined {
  if (isIn(SECURITY, name)) return SECURITY;
  if (isIn(TRUSTED, name)) return TRUSTED;
  if (isIn(USER, name)) return userAttributes ? USER : undefined;
  return acl && (isAccessAcl(name) || sameBytes(name, DEFAULT_ACL_NAME)) ? NONE : undefined;
}

export function isAccessAcl(name: Uint8Array): boolean {
  return sameBytes(name, ACCESS_ACL_NAME);
}

/** Why there can be no attribute of this name; undefined if there can. */
export function nameFlaw(
  name: Uint8Array,
  support: AttributeSupport,
): 'ENOSYS' | 'EOPNOTSUPP' | 'EINVAL' | undefined {
  if (!support.attributes) return 'ENOSYS';
  const namespace = namespaceOf(name, support);
  if (namespace === undefined) return 'EOPNOTSUPP';
  return name.length > namespace.length ? undefined : 'EINVAL';
}

/**
 * Whether an attribute that is not there is said to be impossible. `ls -l` asks each file for its
 * label, and the kernel each time us; told so once, ls asks no more. Where there is SELinux, it is
 * the kernel that asks, and labels may be missing.
 */
export function isImpossibleLabel(name: Uint8Array): boolean {
  if (!sameBytes(name, LABEL_NAME)) return false;
  hasSelinux ??= existsSync(SELINUX_PLACE);
  return !hasSelinux;
}

/** Whether listxattr(2) tells of the name: of `trusted.` to root only. */
export function isListed(name: Uint8Array, support: AttributeSupport, asksRoot: () => boolean): boolean {
  return nameFlaw(name, support) === undefined && (!isIn(TRUSTED, name) || asksRoot());
}
