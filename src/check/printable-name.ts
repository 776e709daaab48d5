/** A name for a message: in quotes, with everything but plain ASCII escaped. */
export function printableName(name: Uint8Array): string {
  let text = '';
  for (const byte of name) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x27 && byte !== 0x5c;
    text += plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return `'${text}'`;
}
