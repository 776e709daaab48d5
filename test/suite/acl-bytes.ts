/** ACLs as the bytes of their attribute, put together as linux/posix_acl_xattr.h has them. */

const TAGS = { u: [1, 2], g: [4, 8], m: [16, 16], o: [32, 32] } as const;
const UNDEFINED_ID = 0xffff_ffff;

/**
 * From a short text such as `u::rw-,u:1000:r--,g::r--,m::r--,o::---`, in the order of the bytes.
 */
export function aclBytes(text: string): Buffer {
  const entries = text.split(',').map((entry) => {
    const [who = '', name = '', rights = ''] = entry.split(':');
    const bits =
      (rights.includes('r') ? 4 : 0) | (rights.includes('w') ? 2 : 0) | (rights.includes('x') ? 1 : 0);
    const bytes = Buffer.alloc(8);
    const [own, named] = TAGS[who as keyof typeof TAGS];
    bytes.writeUInt16LE(name === '' ? own : named, 0);
    bytes.writeUInt16LE(bits, 2);
    bytes.writeUInt32LE(name === '' ? UNDEFINED_ID : Number(name), 4);
    return bytes;
  });
  return Buffer.concat([Buffer.from([2, 0, 0, 0]), ...entries]);
}

/** The same text again. */
export function aclText(value: Uint8Array): string {
  const bytes = Buffer.from(value);
  const entries: string[] = [];
  for (let at = 4; at < bytes.length; at += 8) {
    const tag = bytes.readUInt16LE(at);
    const bits = bytes.readUInt16LE(at + 2);
    const who = Object.entries(TAGS).find(([, tags]) => (tags as readonly number[]).includes(tag))?.[0];
    const name = tag === 2 || tag === 8 ? bytes.readUInt32LE(at + 4) : '';
    const rights = [...'rwx'].map((right, i) => ((bits & (4 >> i)) !== 0 ? right : '-')).join('');
    entries.push(`${who}:${name}:${rights}`);
  }
  return entries.join(',');
}
