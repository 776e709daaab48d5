/** Arguments and results of FALLOCATE, LSEEK and COPY_FILE_RANGE. */
import type { CopyRequest, FallocateAction, FallocateRequest, SeekTarget } from '../../fs/base/filesystem.ts';

class FallocateArguments implements FallocateRequest {
  inode = 0;
  action: FallocateAction = 'allocate';
  offsetBytes = 0;
  lengthBytes = 0;
  keepSize = false;
  updateTimes = false;
  killPrivileges = false;
}

class CopyArguments implements CopyRequest {
  from = 0;
  fromBytes = 0;
  to = 0;
  toBytes = 0;
  lengthBytes = 0;
  updateTimes = false;
  killPrivileges = false;
}

export class RangeArguments {
  readonly fallocate = new FallocateArguments();
  readonly copy = new CopyArguments();
  /** LSEEK: from where, and for what. */
  offsetBytes = 0;
  target: SeekTarget = 'data';
  /** LSEEK: where it is; COPY_FILE_RANGE: bytes copied. */
  result = 0;
}
