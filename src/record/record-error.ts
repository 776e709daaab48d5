/** A file that is no record of a mount, or not one that can be read; the message says why. */
export class RecordError extends Error {
  override readonly name = 'RecordError';
}
