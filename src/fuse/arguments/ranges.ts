/** Arguments and results of FALLOCATE, LSEEK and COPY_FILE_RANGE. */
import type {
  Claimant,
  CopyRequest,
  FallocateAction,
  FallocateRequest,
  SeekTarget,
} from '../../fs/base/filesystem.ts';
import { LEFT_COPY_BYTES } from '../limits.ts';

/** A request, as far as it says who asks. */
interface Asker extends Claimant {
  /** Takes a look at /proc. */
  readonly comesFromRoot: boolean;
}

class FallocateArguments implements FallocateRequest {
  readonly #asker: Asker;
  inode = 0;
  action: FallocateAction = 'allocate';
  offsetBytes = 0;
  lengthBytes = 0;
  keepSize = false;
  updateTimes = false;

  constructor(asker: Asker) {
    this.#asker = asker;
  }

  /** Who is not root clears them: looked at only where the file has any. */
  get killPrivileges(): boolean {
    return !this.#asker.comesFromRoot;
  }

  get isLimited(): boolean {
    return this.#asker.isLimited === true;
  }
}

class CopyArguments implements CopyRequest {
  readonly #asker: Asker;
  readonly leavesBytes = LEFT_COPY_BYTES;
  from = 0;
  fromBytes = 0;
  to = 0;
  toBytes = 0;
  lengthBytes = 0;
  updateTimes = false;
  #killsPrivileges: boolean | undefined;

  constructor(asker: Asker) {
    this.#asker = asker;
  }

  /** Another request has come. */
  begin(): void {
    this.#killsPrivileges = undefined;
  }

  /** Who is not root clears them: looked at only where a copy is made here. */
  get killPrivileges(): boolean {
    this.#killsPrivileges ??= !this.#asker.comesFromRoot;
    return this.#killsPrivileges;
  }

  get isLimited(): boolean {
    return this.#asker.isLimited === true;
  }
}

export class RangeArguments {
  readonly fallocate: FallocateArguments;
  readonly copy: CopyArguments;
  /** LSEEK: from where, and for what. */
  offsetBytes = 0;
  target: SeekTarget = 'data';
  /** LSEEK: where it is; COPY_FILE_RANGE: bytes copied. */
  result = 0;

  /** @param asker the request that they belong to */
  constructor(asker: Asker) {
    this.fallocate = new FallocateArguments(asker);
    this.copy = new CopyArguments(asker);
  }
}
