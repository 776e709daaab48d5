/** Of which kind the blocks are that hold the nodes of each kind of tree. */
import { BlockKind, TreeKind } from './format.ts';

export const NODE_BLOCK_KIND = {
  [TreeKind.extents]: BlockKind.extentNode,
  [TreeKind.directory]: BlockKind.directoryNode,
  [TreeKind.attributes]: BlockKind.attributeNode,
  [TreeKind.quotas]: BlockKind.quotaNode,
} as const;
