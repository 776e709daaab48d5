/**
 * ACLs of inodes: extended attributes that agree with the mode.
 *
 *   set      an access ACL becomes the nine bits of the mode; one that says no more is not kept
 *   chmod    the ACL follows the mode: owner, mask, others
 *   create   a directory's default ACL takes the place of the umask, and goes on to directories
 *
 * Who may do what by them is the kernel's judgement: it asks for the ACL and keeps it. After
 * acl(5), and posix_acl.c of the kernel.
 */
import { ACCESS_ACL_NAME, DEFAULT_ACL_NAME } from '../../common/attribute-names.ts';
import { sameBytes } from '../../common/bytes.ts';
import { CorruptionError, fsError } from '../base/errors.ts';
import {
  aclFlaw,
  inheritedMode,
  isEmptyAcl,
  isModeOnly,
  modeOfAcl,
  withMode,
} from '../format/access-list.ts';
import { Inode } from '../format/format.ts';
import type { Transaction } from '../transaction/transaction.ts';
import { type ExtendedAttributes, hasAttributes } from '../tree/extended-attributes.ts';
import { type InodeRef, isDirectory, isSymlink, modeOf, touchChanged } from '../tree/inode.ts';

/** The nine bits of a mode that an ACL stands for. */
const ACCESS_BITS = 0o777;

export function isAclName(name: Uint8Array): boolean {
  return sameBytes(name, ACCESS_ACL_NAME) || sameBytes(name, DEFAULT_ACL_NAME);
}

function setMode(inode: InodeRef, mode: number): void {
  Inode.mode.set(inode.frame.view, inode.at, mode);
}

export class AccessLists {
  readonly #attributes: ExtendedAttributes;
  /** False: ACLs are neither heeded nor changed (-o noacl). */
  readonly enabled: boolean;

  /** Bytes of the longest ACL that is inherited. */
  readonly #mostInheritedBytes: number;

  constructor(attributes: ExtendedAttributes, enabled: boolean, mostInheritedBytes: number) {
    this.#attributes = attributes;
    this.enabled = enabled;
    this.#mostInheritedBytes = mostInheritedBytes;
  }

  /**
   * setxattr(2) of an ACL, which may be there or not.
   * @throws EINVAL for what is none, EACCES for a default ACL of a file, E2BIG for one that is too
   * long to be inherited, EOPNOTSUPP for a symlink and where ACLs are not heeded
   */
  set(tx: Transaction, inode: InodeRef, name: Uint8Array, value: Uint8Array): void {
    const isAccess = sameBytes(name, ACCESS_ACL_NAME);
    if (!this.enabled || isSymlink(inode)) throw fsError('EOPNOTSUPP');
    if (isEmptyAcl(value)) {
      this.#attributes.discard(tx, inode, name);
      return;
    }
    if (aclFlaw(value) !== undefined) throw fsError('EINVAL');
    if (!isAccess && !isDirectory(inode)) throw fsError('EACCES');
    if (!isAccess && value.length > this.#mostInheritedBytes) throw fsError('E2BIG');
    if (isAccess && isModeOnly(value)) {
      this.#attributes.discard(tx, inode, name);
      tx.modify(inode.frame);
      touchChanged(inode, tx.clock);
    } else this.#attributes.set(tx, inode, { name, value });
    if (isAccess) setMode(inode, (modeOf(inode) & ~ACCESS_BITS) | modeOfAcl(value));
  }

  /** removexattr(2) of an ACL, which need not be there: the mode stands for one as well. */
  remove(tx: Transaction, inode: InodeRef, name: Uint8Array): void {
    if (!this.enabled) throw fsError('EOPNOTSUPP');
    this.#attributes.discard(tx, inode, name);
  }

  /** The mode of the inode was changed: its ACL follows. */
  modeChanged(tx: Transaction, inode: InodeRef): void {
    if (!this.enabled || !hasAttributes(inode)) return;
    const acl = this.#find(tx, inode, ACCESS_ACL_NAME);
    if (acl === undefined || (modeOf(inode) & ACCESS_BITS) === modeOfAcl(acl)) return;
    this.#attributes.set(tx, inode, { name: ACCESS_ACL_NAME, value: withMode(acl, modeOf(inode)) });
  }

  /**
   * The ACL that what is made in the directory inherits, instead of the umask; undefined where that
   * holds.
   * @throws E2BIG where it does not fit into one transaction with what is made
   */
  inheritedFrom(tx: Transaction, directory: InodeRef): Uint8Array | undefined {
    if (!this.enabled || !hasAttributes(directory)) return undefined;
    const acl = this.#find(tx, directory, DEFAULT_ACL_NAME);
    if (acl !== undefined && acl.length > this.#mostInheritedBytes) throw fsError('E2BIG');
    return acl;
  }

  /** Gives a new inode, made with the mode that is asked for, what it inherits. */
  inherit(tx: Transaction, inode: InodeRef, defaultAcl: Uint8Array): void {
    const mode = inheritedMode(defaultAcl, modeOf(inode));
    tx.modify(inode.frame);
    setMode(inode, mode);
    if (!isModeOnly(defaultAcl))
      this.#attributes.set(tx, inode, { name: ACCESS_ACL_NAME, value: withMode(defaultAcl, mode) });
    if (isDirectory(inode)) this.#attributes.set(tx, inode, { name: DEFAULT_ACL_NAME, value: defaultAcl });
  }

  /** @throws CorruptionError where the value is no ACL */
  #find(tx: Transaction, inode: InodeRef, name: Uint8Array): Uint8Array | undefined {
    const value = this.#attributes.find(tx, inode, name);
    if (value === undefined) return undefined;
    const flaw = aclFlaw(value);
    if (flaw === undefined) return value;
    throw new CorruptionError(inode.frame.block, `inode ${inode.number} has an ACL that is none: ${flaw}`);
  }
}
