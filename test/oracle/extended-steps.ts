/** Steps that change extended attributes and ACLs, and what the mount must say of them. */
import { aclBytes } from '../suite/acl-bytes.ts';
import { type Inode, NotApplicable } from './model.ts';
import type { Planner } from './planner.ts';
import { ALONE, type Claims, Difference, ROOT_USER, type Stage, type Step } from './stage.ts';

const ACCESS_ACL = 'system.posix_acl_access';
/** Who is named in ACLs: none of those who make calls, so that the mode and the group decide. */
const NAMED_USER = 4242;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** Together with its directory's names, and nothing else of the inode. */
function claimsOf(planner: Planner, path: string, inode: Inode): Claims {
  return new Map([
    [`inode ${inode.id}`, ALONE],
    [`inode ${planner.model.place(path).directory.id}`, 'names'],
  ]);
}

function rights(bits: number): string {
  return [...'rwx'].map((right, at) => ((bits & (4 >> at)) !== 0 ? right : '-')).join('');
}

/** The access ACL that goes with the mode; of no named user it is the mode alone. */
function aclOf({ mode, acl }: Pick<Inode, 'mode' | 'acl'>): Buffer {
  const [owner, group, other] = [mode >> 6, mode >> 3, mode].map((bits) => rights(bits & 7));
  if (!acl) return aclBytes(`u::${owner},g::${group},o::${other}`);
  const named = `u:${NAMED_USER}:${rights(acl.user)}`;
  return aclBytes(`u::${owner},${named},g::${rights(acl.group)},m::${group},o::${other}`);
}

/** FNV-1a, as worker.c computes it. */
function hashOf(value: Uint8Array): number {
  return value.reduce((hash, byte) => Math.imul(hash ^ byte, FNV_PRIME) >>> 0, FNV_OFFSET);
}

async function put(stage: Stage, worker: number, path: string, name: string, value: Uint8Array) {
  stage.worker(worker).put(value);
  return await stage.call(worker, ROOT_USER, 'setxattr', path, name, value.length);
}

export function setAttribute(planner: Planner): Step | undefined {
  const found = planner.pick();
  if (!found) return undefined;
  const { path, inode } = found;
  const { random } = planner;
  const worker = planner.worker();
  const spaces = inode.kind === 'file' || inode.kind === 'directory' ? ['user', 'trusted'] : ['trusted'];
  const name = `${random.pick(spaces)}.${random.pick(['a', 'b', 'long'.repeat(20)])}`;
  const [length, first] = [random.pick([0, 10, 60, 200, 2000]), random.below(256)];
  const value = new Uint8Array(length).map((_, i) => (first + i * 7) & 0xff);
  return {
    text: `setxattr ${path} ${name}, ${length} bytes from ${first} on`,
    worker,
    claims: claimsOf(planner, path, inode),
    async perform(stage) {
      const changed = stage.model.at(path, inode.kind);
      stage.touch(worker, changed);
      const { window } = await put(stage, worker, path, name, value);
      changed.attributes.set(name, value);
      changed.attributesChanged(window, stage.batch);
    },
  };
}

export function removeAttribute(planner: Planner): Step | undefined {
  const found = planner.pick();
  const name = found && planner.pickFrom([...found.inode.attributes.keys()]);
  if (!found || name === undefined) return undefined;
  const { path, inode } = found;
  const worker = planner.worker();
  return {
    text: `removexattr ${path} ${name}`,
    worker,
    claims: claimsOf(planner, path, inode),
    async perform(stage) {
      const changed = stage.model.at(path, inode.kind);
      if (!changed.attributes.has(name)) throw new NotApplicable(path);
      stage.touch(worker, changed);
      const { window } = await stage.call(worker, ROOT_USER, 'removexattr', path, name);
      changed.attributes.delete(name);
      changed.attributesChanged(window, stage.batch);
    },
  };
}

export function setAcl(planner: Planner): Step | undefined {
  const found = planner.pick('file', 'directory', 'fifo');
  if (!found) return undefined;
  const { path, inode } = found;
  const { random } = planner;
  const worker = planner.worker();
  const acl = random.chance(0.7) ? { user: random.below(8), group: random.below(8) } : undefined;
  const bits = inode.kind === 'directory' ? 0o700 | random.below(0o100) | 0o055 : random.below(0o1000);
  return {
    text: `set the ACL ${path} 0${bits.toString(8)} ${acl ? `user ${acl.user} group ${acl.group}` : ''}`,
    worker,
    claims: claimsOf(planner, path, inode),
    async perform(stage) {
      const changed = stage.model.at(path, inode.kind);
      stage.touch(worker, changed);
      const mode = (changed.mode & ~0o777) | bits;
      const isSame = !acl && !changed.acl && mode === changed.mode;
      const { window } = await put(stage, worker, path, ACCESS_ACL, aclOf({ mode, acl }));
      changed.mode = mode;
      changed.acl = acl;
      changed.disturb();
      // ext4 does nothing then; others, and the kernel for FUSE, move the time.
      if (isSame) changed.changed.perhaps(window, stage.batch);
      else changed.changed.set(window, stage.batch);
    },
  };
}

/** All names and values of an inode. */
export async function checkExtended(stage: Stage, worker: number, inode: Inode, path: string): Promise<void> {
  const { words } = await stage.call(worker, ROOT_USER, 'listxattr', path || '.');
  stage.checks++;
  if (!stage.compares('extended')) return;
  const expected = new Map(inode.attributes);
  if (inode.acl) expected.set(ACCESS_ACL, aclOf(inode));
  const wanted = [...expected].map(([name, value]) => `${name}:${value.length}:${hashOf(value)}`);
  const [seen, must] = [words.sort().join(' '), wanted.sort().join(' ')];
  if (seen !== must)
    throw new Difference('extended', `${path || '.'}: attributes '${seen}', expected '${must}'`, inode);
}
