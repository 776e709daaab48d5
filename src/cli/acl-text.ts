/**
 * Access control lists in words, as acl(5) has them and archives do: read into the value of an
 * extended attribute. Names are those of this machine; star(1) has the number behind each.
 */
import { viewOf } from '../common/bytes.ts';
import { aclFlaw } from '../fs/format/access-list.ts';
import { ACL_VERSION, AclEntry, AclHeader, AclTag, NO_ID } from '../fs/format/format.ts';
import { type AccountKind, type AccountNames, accountNames } from './account-names.ts';
import { CommandError } from './failure.ts';

const WORDS: Readonly<Record<string, readonly [plain: number, named: number]>> = {
  user: [AclTag.owner, AclTag.user],
  group: [AclTag.group, AclTag.namedGroup],
  mask: [AclTag.mask, AclTag.mask],
  other: [AclTag.other, AclTag.other],
};
/** As the kernel has them: by their tags, and these by their ids. */
const ORDER: readonly number[] = [
  AclTag.owner,
  AclTag.user,
  AclTag.group,
  AclTag.namedGroup,
  AclTag.mask,
  AclTag.other,
];

interface Entry {
  readonly tag: number;
  readonly permissions: number;
  readonly id: number;
}

function permissionsOf(text: string): number | undefined {
  if (!/^[r-][w-][x-]$/.test(text)) return undefined;
  return [...text].reduce((bits, letter) => bits * 2 + (letter === '-' ? 0 : 1), 0);
}

const known = new Map<AccountKind, AccountNames>();

function idOf(kind: AccountKind, name: string, number: string | undefined): number {
  const names = known.get(kind) ?? accountNames(kind);
  known.set(kind, names);
  return names.idOf(number !== undefined && /^\d{1,10}$/.test(number) ? number : name);
}

function entryOf(text: string): Entry {
  const [word = '', name = '', rights = '', number] = text.split(':');
  const permissions = permissionsOf(rights);
  const tags = WORDS[word];
  if (tags === undefined || permissions === undefined)
    throw new CommandError(`an ACL has no entry '${text}'`);
  if (name === '') return { tag: tags[0], permissions, id: NO_ID };
  return { tag: tags[1], permissions, id: idOf(word === 'user' ? 'user' : 'group', name, number) };
}

/**
 * @param text entries that commas or ends of lines part; what stands behind `#` is a comment
 * @throws CommandError for what is no ACL, or names who is not known here
 */
export function aclValue(text: string): Uint8Array {
  const entries = text
    .split(/[,\n]/)
    .map((one) => one.replace(/#.*/, '').trim())
    .filter((one) => one !== '')
    .map(entryOf)
    .sort((one, other) => ORDER.indexOf(one.tag) - ORDER.indexOf(other.tag) || one.id - other.id);
  const value = new Uint8Array(AclHeader.sizeBytes + entries.length * AclEntry.sizeBytes);
  const view = viewOf(value);
  AclHeader.version.set(view, 0, ACL_VERSION);
  for (const [index, { tag, permissions, id }] of entries.entries()) {
    const at = AclHeader.sizeBytes + index * AclEntry.sizeBytes;
    AclEntry.tag.set(view, at, tag);
    AclEntry.permissions.set(view, at, permissions);
    AclEntry.id.set(view, at, id);
  }
  const flaw = aclFlaw(value);
  if (flaw !== undefined) throw new CommandError(`an ACL makes no sense: ${flaw}`);
  return value;
}
