/**
 * The groups whose free runs are not known one by one, and what their lengths may be.
 *
 * For each group a word: bit k is set if it may have a free run of 2^k to 2^(k+1) − 1 blocks. A
 * group nobody has looked into may have any; one whose runs were known once has those it had, and
 * those that may have come about since; one whose runs are known now has none, since there is
 * nothing to find. Over the words stands a binary tree in which each node is the union of its two
 * children, so that a search goes straight to the next group that can have what it looks for: the
 * logarithm of the groups. Two to four words for a group: 8 MiB for the half million groups of 64
 * TiB in blocks of 4 KiB.
 */

/** A run of any length. */
export const ANY_CLASS = 0xffffffff;

/** The class of a length: k for 2^k to 2^(k+1) − 1. */
export function classOf(length: number): number {
  return 31 - Math.clz32(length);
}

/** The bits of the classes of all lengths from `least` to `most`. */
export function classesFrom(least: number, most: number): number {
  return ((-1 << classOf(least)) & (-1 >>> (31 - classOf(most)))) >>> 0;
}

export class UnreadGroups {
  /** A power of two; leaf `g` is node `#leaves + g`, the children of node n are 2n and 2n + 1. */
  readonly #leaves: number;
  readonly #nodes: Uint32Array;

  /** All of them may have any run. */
  constructor(groupCount: number) {
    let leaves = 1;
    while (leaves < groupCount) leaves *= 2;
    this.#leaves = leaves;
    this.#nodes = new Uint32Array(2 * leaves);
    let count = groupCount;
    for (let first = leaves; first > 0; first >>>= 1) {
      this.#nodes.fill(ANY_CLASS, first, first + count);
      count = Math.ceil(count / 2);
    }
  }

  get memoryBytes(): number {
    return this.#nodes.byteLength;
  }

  /** What the group may have; 0 if its runs are known. */
  classesOf(group: number): number {
    return this.#nodes[this.#leaves + group] as number;
  }

  setClasses(group: number, classes: number): void {
    let node = this.#leaves + group;
    this.#nodes[node] = classes;
    for (node >>>= 1; node > 0; node >>>= 1) {
      const union = this.#union(node);
      if (this.#nodes[node] === union) return;
      this.#nodes[node] = union;
    }
  }

  /** The first group ≥ `from` that may have a run of one of these classes, or −1. */
  next(from: number, classes: number): number {
    if (from >= this.#leaves) return -1;
    let node = this.#leaves + from;
    // Up, until a subtree that lies right of the start has one; then down, keeping to the left.
    while (((this.#nodes[node] as number) & classes) === 0) {
      while ((node & 1) === 1) node >>>= 1;
      if (node === 0) return -1;
      node++;
    }
    while (node < this.#leaves) {
      node *= 2;
      if (((this.#nodes[node] as number) & classes) === 0) node++;
    }
    return node - this.#leaves;
  }

  /** @throws Error if a node is not the union of its children. */
  checkInvariants(): void {
    for (let node = this.#leaves - 1; node > 0; node--) {
      if (this.#nodes[node] !== this.#union(node)) throw new Error(`R1: node ${node} of the unread groups`);
    }
  }

  #union(node: number): number {
    return ((this.#nodes[2 * node] as number) | (this.#nodes[2 * node + 1] as number)) >>> 0;
  }
}
