/** Exit statuses of a serving process: what whoever holds it learns of how its mount ended. */
export const DaemonStatus = {
  /** The volume is consistent on disk, and holds all that it was given. */
  clean: 0,
  /** It could not be closed in order, or its last changes could not be written. */
  failed: 1,
  /** It is in order, but data of files could not be written. */
  lostData: 3,
} as const;
