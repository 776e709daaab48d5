/** ACLs as bytes: which are some, which modes they show as, and how they follow one. */
import { describe, expect, test } from 'vitest';
import { accessListFlaw } from '../../src/check/access-list.ts';
import {
  aclFlaw,
  inheritedMode,
  isEmptyAcl,
  isModeOnly,
  modeOfAcl,
  withMode,
} from '../../src/fs/format/access-list.ts';
import { SeededRandom } from '../../src/sim/seeded-random.ts';
import { aclBytes, aclText } from '../suite/acl-bytes.ts';

const PLAIN = 'u::rw-,g::r--,o::---';
const NAMED = 'u::rwx,u:1000:rw-,u:1001:---,g::r-x,g:5:--x,m::rwx,o::r--';

describe('what is an ACL', () => {
  test.each([PLAIN, NAMED, 'u::---,g::---,m::---,o::---', 'u::r--,g::r--,g:7:r--,m::r--,o::---'])(
    '%s is one',
    (text) => {
      expect(aclFlaw(aclBytes(text))).toBeUndefined();
      expect(aclText(aclBytes(text))).toBe(text);
    },
  );

  test.each([
    ['u::rw-,g::r--', 'it ends too early'],
    ['g::r--,o::---', 'an entry of tag 4 is out of place'],
    ['u::rw-,u::rw-,g::r--,o::---', 'an entry of tag 1 is out of place'],
    ['u::rw-,g::r--,u:7:r--,m::r--,o::---', 'an entry of tag 2 is out of place'],
    ['u::rw-,g::r--,m::r--,m::r--,o::---', 'an entry of tag 16 is out of place'],
    ['u::rw-,g::r--,o::---,o::---', 'an entry of tag 32 is out of place'],
    ['u::rw-,u:7:r--,g::r--,o::---', 'it has no mask'],
    ['u::rw-,g::r--,g:7:r--,o::---', 'an entry of tag 32 is out of place'],
    ['u::rw-,u:4294967295:r--,g::r--,m::r--,o::---', 'it names nobody'],
  ])('%s is none', (text, flaw) => {
    expect(aclFlaw(aclBytes(text))).toBe(flaw);
  });

  test('nor is one of another version, length, tag or permission', () => {
    const changed = (at: number, byte: number) => {
      const bytes = aclBytes(PLAIN);
      bytes[at] = byte;
      return aclFlaw(bytes);
    };
    expect(changed(0, 1)).toBe('it is of version 1');
    expect(changed(4, 0)).toBe('an entry of tag 0 is out of place');
    expect(changed(4, 3)).toBe('an entry of tag 3 is out of place');
    expect(changed(6, 8)).toBe('it permits what there is not');
    expect(aclFlaw(aclBytes(PLAIN).subarray(0, -1))).toBe('it has 27 bytes');
    expect(aclFlaw(new Uint8Array(0))).toBe('it has 0 bytes');
    expect(aclFlaw(new Uint8Array([2, 0, 0, 0]))).toBe('it ends too early');
  });

  test('one of nobody says that there is none', () => {
    expect(isEmptyAcl(new Uint8Array([2, 0, 0, 0]))).toBe(true);
    expect(isEmptyAcl(new Uint8Array([1, 0, 0, 0]))).toBe(false);
    expect(isEmptyAcl(aclBytes(PLAIN))).toBe(false);
  });
});

describe('the checker, which looks by code of its own,', () => {
  const DIRECTORY = 0o040755;
  const ACCESS = new TextEncoder().encode('system.posix_acl_access');
  const DEFAULT = new TextEncoder().encode('system.posix_acl_default');

  test('finds the same values to be ACLs, of random ones', () => {
    const random = new SeededRandom(7);
    let sound = 0;
    for (let i = 0; i < 20_000; i++) {
      const value = new Uint8Array(
        aclBytes(random.pick([PLAIN, NAMED, 'u::r--,u:7:r--,g::r--,m::r--,o::---'])),
      );
      for (let left = random.below(3); left > 0; left--)
        value[random.below(value.length)] = random.pick([0, 1, 2, 4, 7, 8, 16, 32, 255]);
      const cut = random.chance(0.1) ? value.subarray(0, random.below(value.length)) : value;
      const flaw = aclFlaw(cut);
      if (flaw === undefined) sound++;
      expect(accessListFlaw(ACCESS, cut, DIRECTORY) === undefined, flaw).toBe(flaw === undefined);
    }
    expect(sound).toBeGreaterThan(3000);
    expect(sound).toBeLessThan(17_000);
  });

  test('finds those that are where none can be', () => {
    expect(accessListFlaw(DEFAULT, aclBytes(NAMED), DIRECTORY)).toBeUndefined();
    expect(accessListFlaw(DEFAULT, aclBytes(NAMED), 0o100644)).toBe('it is of no directory');
    expect(accessListFlaw(ACCESS, aclBytes(NAMED), 0o120777)).toBe('it is of a symlink');
  });
});

describe('ACLs and modes', () => {
  test('the group bits are those of the mask, or of the owning group', () => {
    expect(modeOfAcl(aclBytes(PLAIN))).toBe(0o640);
    expect(isModeOnly(aclBytes(PLAIN))).toBe(true);
    expect(modeOfAcl(aclBytes(NAMED))).toBe(0o774);
    expect(isModeOnly(aclBytes(NAMED))).toBe(false);
  });

  test('a mode changes owner, mask and others, in a copy', () => {
    const named = aclBytes(NAMED);
    expect(aclText(withMode(named, 0o100512))).toBe(
      'u::r-x,u:1000:rw-,u:1001:---,g::r-x,g:5:--x,m::--x,o::-w-',
    );
    expect(aclText(named)).toBe(NAMED);
    expect(aclText(withMode(aclBytes(PLAIN), 0o751))).toBe('u::rwx,g::r-x,o::--x');
  });

  test('what is inherited permits no more than was asked for, nor than the ACL', () => {
    expect(inheritedMode(aclBytes(NAMED), 0o102666)).toBe(0o102664);
    expect(inheritedMode(aclBytes(PLAIN), 0o047777)).toBe(0o047640);
    expect(inheritedMode(aclBytes('u::r--,g::rwx,o::rwx'), 0o740)).toBe(0o440);
  });
});
