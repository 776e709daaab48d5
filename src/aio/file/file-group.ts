/**
 * What files that are opened in one group share, and others do not: the kernel queues, memory of
 * our own, the ends of inodes, and the numbers of requests.
 *
 * Whoever opens files owns it: `openFile` has one for its JavaScript thread, tests make their own.
 * It needs no closing. Files give back what they hold, and the queues end after the last of them.
 */
import type { LeaseQueue } from './file-queues.ts';
import { InodeTails } from './inode-tails.ts';
import { ScratchMemory } from './scratch-memory.ts';

export class FileGroup {
  readonly leaseQueue: LeaseQueue;
  readonly scratch = new ScratchMemory();
  readonly tails = new InodeTails();
  #lastRequestId = 0;

  /** @param leaseQueue that of a `FileQueues`, or in a test one that fails on purpose */
  constructor(leaseQueue: LeaseQueue) {
    this.leaseQueue = leaseQueue;
  }

  /** A number for a request, rising from 1. */
  nextRequestId(): number {
    return ++this.#lastRequestId;
  }
}
