/** Arguments of SETATTR. */
import type { AttributeChanges } from '../../fs/base/filesystem.ts';

export class AttributeArguments {
  /** Set-user-id and set-group-id go with it. */
  killPrivileges = false;
  /** A write by somebody without privileges is about to come. */
  dropsPrivileges = false;
  /** Perhaps the kernel only hands over the times that it keeps. */
  flushesTimes = false;
  /** Whether the size changes, to what, and whether anything else does. */
  resizes = false;
  sizeBytes = 0;
  changesOther = false;
  readonly changes: AttributeChanges = {
    mode: undefined,
    uid: undefined,
    gid: undefined,
    accessSeconds: undefined,
    accessNanoseconds: undefined,
    modifySeconds: undefined,
    modifyNanoseconds: undefined,
    changeSeconds: undefined,
    changeNanoseconds: undefined,
    killPrivileges: undefined,
    kept: undefined,
  };
}
