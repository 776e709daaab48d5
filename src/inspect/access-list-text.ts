/** ACLs in words, as getfacl(1) writes them; sound or not, as far as their bytes go. */
import { ACCESS_ACL_NAME, DEFAULT_ACL_NAME } from '../common/attribute-names.ts';
import { sameBytes, viewOf } from '../common/bytes.ts';
import { AclEntry, AclHeader, AclTag } from '../fs/format/format.ts';

const WORDS: Readonly<Record<number, string>> = {
  [AclTag.owner]: 'user:',
  [AclTag.user]: 'user',
  [AclTag.group]: 'group:',
  [AclTag.namedGroup]: 'group',
  [AclTag.mask]: 'mask:',
  [AclTag.other]: 'other:',
};

/** Read, write and execute by three letters; what else there is as a number. */
function rightsText(permissions: number): string {
  if (permissions > 7) return `${permissions}`;
  return [...'rwx'].map((letter, at) => ((permissions & (4 >> at)) !== 0 ? letter : '-')).join('');
}

function entryText(view: DataView, at: number): string {
  const tag = AclEntry.tag.get(view, at);
  const isNamed = tag === AclTag.user || tag === AclTag.namedGroup;
  const who = isNamed ? `:${AclEntry.id.get(view, at)}` : '';
  return `${WORDS[tag] ?? `tag ${tag}`}${who}:${rightsText(AclEntry.permissions.get(view, at))}`;
}

/** The entries of an ACL, a text each; undefined of any other attribute. */
export function aclTexts(name: Uint8Array, value: Uint8Array): string[] | undefined {
  if (!sameBytes(name, ACCESS_ACL_NAME) && !sameBytes(name, DEFAULT_ACL_NAME)) return undefined;
  const view = viewOf(value);
  const texts: string[] = [];
  for (let at = AclHeader.sizeBytes; at + AclEntry.sizeBytes <= value.length; at += AclEntry.sizeBytes)
    texts.push(entryText(view, at));
  return texts;
}
