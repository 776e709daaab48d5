/** What is wrong with an archive, as a line for whoever gave it. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError';
}
