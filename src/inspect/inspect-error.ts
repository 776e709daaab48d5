/**
 * What cannot be shown of a volume: it is not there, or it is damaged. The message is a sentence
 * for the user.
 */
export class InspectError extends Error {
  override readonly name = 'InspectError';
}
