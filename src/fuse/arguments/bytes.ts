/**
 * Bytes that are handed through as they are: the target of READLINK, the question of IOCTL and its
 * answer.
 */
export class ByteArguments {
  bytes: Uint8Array = new Uint8Array(0);
  /** IOCTL: room for the answer. */
  mostBytes = 0;
}
