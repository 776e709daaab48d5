/** Names of extended attributes that mean something to Linux (xattr(7), linux/xattr.h). */

function name(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The ACL of an inode, and that which a directory gives to what is made in it. */
export const ACCESS_ACL_NAME = name('system.posix_acl_access');
export const DEFAULT_ACL_NAME = name('system.posix_acl_default');

/** Capabilities that a program gets as it is run; gone as soon as anybody changes the file. */
export const CAPABILITY_NAME = name('security.capability');
