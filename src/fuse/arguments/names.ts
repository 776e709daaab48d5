/** Arguments of the operations on names, and what a rename did. */
import type { Caller, CreateRequest, RenameRequest, SymlinkRequest } from '../../fs/base/filesystem.ts';

const NO_NAME = new Uint8Array(0);

interface PlaceArguments {
  parent: number;
  name: Uint8Array;
}

export class NameArguments implements CreateRequest, SymlinkRequest, RenameRequest {
  name: Uint8Array = NO_NAME;
  /** RENAME: the name it gets; SYMLINK: its target. */
  newName: Uint8Array = NO_NAME;
  /** RENAME, LINK: the directory of the new name. */
  newParent = 0;
  /** RENAME: RenameFlag. */
  flags = 0;
  /** RENAME: both places, as the volume takes them; LINK: the new one. */
  readonly from: PlaceArguments = { parent: 0, name: NO_NAME };
  readonly to: PlaceArguments = { parent: 0, name: NO_NAME };
  /** File type and permissions before the umask. */
  mode = 0;
  deviceNumber = 0;
  /** RENAME: directories that got another parent, or 0. */
  movedDirectory = 0;
  exchangedDirectory = 0;

  constructor(readonly caller: Caller) {}

  get target(): Uint8Array {
    return this.newName;
  }
}
