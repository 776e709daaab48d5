/** Arguments of the operations on extended attributes, and what they found. */
import type { SetMode } from '../../fs/base/filesystem.ts';

const NOTHING = new Uint8Array(0);

export class ExtendedAttributeArguments {
  name: Uint8Array = NOTHING;
  /** SETXATTR: the value. */
  value: Uint8Array = NOTHING;
  /** SETXATTR: may or must it exist before? */
  mode: SetMode = 'any';
  /** SETXATTR: set-group-id goes with the new access ACL. */
  dropsSetGroupId = false;
  /** SETXATTR, REMOVEXATTR: the inode takes another space than before. */
  movedSpace = false;
  /** GETXATTR, LISTXATTR: room for the answer; 0 asks for its length. */
  mostBytes = 0;
  /** GETXATTR: the value; LISTXATTR: the names, each with a NUL behind it. */
  found: Uint8Array | undefined = NOTHING;
}
