/** Arguments of READDIR and READDIRPLUS. */
export class ListingArguments {
  /** Of the entry before the first wanted; 0 to begin. */
  cookie = 0;
  /** Room for the answer. */
  lengthBytes = 0;
  movesAccessTime = false;
}
