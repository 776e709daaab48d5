/** What a copied file gets besides its content: owner, attributes, mode, times. */
import { codeOf } from '../common/thrown.ts';
import type { TargetTree, TreeAttribute, TreeNode } from './tree-sides.ts';

/** Codes of an attribute that the target's filesystem has no room for, or its user may not set. */
const NOT_KEPT = new Set([
  'EOPNOTSUPP',
  'ENOTSUP',
  'EPERM',
  'EACCES',
  'E2BIG',
  'ERANGE',
  'ENOSPC',
  'EDQUOT',
  'EINVAL',
  'ENODATA',
]);

export interface Dress {
  readonly node: TreeNode;
  readonly attributes: readonly TreeAttribute[];
}

/** Told of what cannot be kept: attributes that the target does not take. */
export type Lost = (path: Buffer, what: string) => void;

/** Sets one that may not be kept, and tells that. */
export async function keepAttribute(
  target: TargetTree,
  to: Buffer,
  attribute: TreeAttribute,
  lost: Lost,
): Promise<void> {
  const [name, value] = attribute;
  try {
    if (value === undefined) throw Object.assign(new Error('unread'), { code: 'ENODATA' });
    await target.setAttribute(to, name, value);
  } catch (thrown) {
    if (!NOT_KEPT.has(codeOf(thrown))) throw thrown;
    lost(to, `attribute ${name} (${codeOf(thrown)})`);
  }
}

export function isAcl([name]: TreeAttribute): boolean {
  return name.startsWith('system.posix_acl_');
}

/** None takes from the one before: a mode may forbid attributes, and changes ACLs. */
export async function dress(
  target: TargetTree,
  to: Buffer,
  { node, attributes }: Dress,
  lost: Lost,
): Promise<void> {
  await target.setOwner(to, node);
  for (const one of attributes) if (!isAcl(one)) await keepAttribute(target, to, one, lost);
  await target.setMode(to, node);
  for (const one of attributes) if (isAcl(one)) await keepAttribute(target, to, one, lost);
  await target.setTimes(to, node);
}
