/**
 * Bytes that are handed through as they are: the target of READLINK, what an IOCTL brings and its
 * answer.
 */
const NOTHING = new Uint8Array(0);

export class ByteArguments {
  bytes: Uint8Array = NOTHING;
  /** IOCTL: its command, … */
  command = 0;
  /** … room for the answer, … */
  mostBytes = 0;
  /** … and the answer. */
  answer: Uint8Array = NOTHING;
}
