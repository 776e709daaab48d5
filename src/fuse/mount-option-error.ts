/** An option that cannot be had; the message is one line that says what to do. */
export class MountOptionError extends Error {
  override readonly name = 'MountOptionError';
}
