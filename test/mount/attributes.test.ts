/**
 * Extended attributes and ACLs on real mounts: every answer that ext4 gives as well, what programs
 * keep of them, and how much the kernel asks.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RecordReader } from '../../src/record/record-reader.ts';
import { isMissing } from '../missing.ts';
import { describeMount, describeQuarry, MIB, quarry, shell, shellResult, Volume } from './harness.ts';

const NO_PROGRAMS = isMissing('setfattr', 'getfattr', 'setfacl', 'getfacl', 'setcap', 'rsync');
const QUESTIONS = fileURLToPath(new URL('attributes.py', import.meta.url));

/** The same questions to ext4, on a loop device of its own. */
async function answersOfExt4(volume: Volume): Promise<string> {
  const image = volume.scratch.file('judge.img');
  const place = volume.scratch.file('judge');
  await shell(`truncate -s 64M '${image}' && mkfs.ext4 -q -F -b 4096 -I 256 '${image}'
    mkdir '${place}' && mount -o loop '${image}' '${place}'`);
  try {
    return await shell(`chmod 755 '${place}' && python3 '${QUESTIONS}' '${place}'`);
  } finally {
    await shellResult(`umount '${place}'`);
  }
}

describeQuarry('attributes, with ext4 as the judge', () => {
  test('users, groups, modes, ACLs, names and errors: each answer is the same', async ({ annotate }) => {
    const volume = await Volume.make({ sizeBytes: 64 * MIB });
    try {
      const expected = (await answersOfExt4(volume)).trim().split('\n');
      await volume.shell('chmod 755 .');
      const found = (await volume.shell(`python3 '${QUESTIONS}' .`)).trim().split('\n');
      // Else nothing would be compared, or nobody refused anything.
      expect(expected.length).toBeGreaterThan(2500);
      for (const word of ['EACCES', 'EPERM', 'ENODATA', 'EEXIST', 'ENOTSUP', 'EINVAL', 'ERANGE'])
        expect(expected.filter((line) => line.includes(word)).length, word).toBeGreaterThan(5);
      expect(found.filter((line, at) => line !== expected[at])).toEqual([]);
      expect(found.length).toBe(expected.length);
      await annotate(`${found.length} answers`);
      await volume.unmountAndCheck();
    } finally {
      await volume.destroy();
    }
  });
});

/** All that getfattr and getfacl say of what is below a directory. */
function everything(directory: string): string {
  return `(cd ${directory} && find . | sort | xargs getfattr -h -d -m - -e hex && getfacl -R . )`;
}

(NO_PROGRAMS ? describe.skip : describeMount)('attributes and programs', () => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    await volume.shell(`mkdir tree && cd tree && mkdir d && cp /bin/true program && echo data > d/file && ln -s x link
      setfattr -n user.long -v "$(head -c 2000 /dev/zero | tr '\\0' a)" d/file
      setfattr -n user.empty d && setfattr -h -n trusted.link -v 1 link
      setfacl -m u:1234:rwx,g:5:r,d:u:1234:rx,d:g:7:w d && setfacl -m u:1234:- d/file && mkdir -m 700 d/inherits
      setcap cap_net_raw+ep program && setfattr -n security.selinux -v a_label program`);
  });
  afterAll(() => volume?.destroy());

  test.each([
    ['cp -a', 'cp -a tree/. copy'],
    ['rsync -aXA', 'rsync -aXA tree/ copy/'],
    [
      'tar --xattrs --acls',
      "tar -c --xattrs --xattrs-include='*' --acls -C tree . | tar -x --xattrs --xattrs-include='*' --acls -C copy",
    ],
  ])('%s keeps them', async (_, command) => {
    await volume.shell(`rm -rf copy; mkdir copy; ${command}`);
    const kept = await volume.shell(everything('copy'));
    expect(kept).toContain('security.capability=');
    expect(kept).toContain('user:1234:rwx');
    expect(kept).toBe(await volume.shell(everything('tree')));
  });

  test('they are there after a remount, and setfacl puts back what getfacl said', async () => {
    const before = await volume.shell(everything('tree'));
    await volume.shell('getfacl -R tree > acls');
    await volume.remount();
    expect(await volume.shell(everything('tree'))).toBe(before);
    await volume.shell('setfacl -R -b tree && setfacl --restore=acls');
    expect(await volume.shell(everything('tree'))).toBe(before);
  });

  test("a stranger's write takes the capability of a program, and its own name with it", async () => {
    const said =
      await volume.shell(`chmod 755 . && cp /bin/cat mine && chmod 777 mine && setcap cap_chown+ep mine
      getcap mine && setpriv --reuid 1234 --regid 1234 --clear-groups bash -c 'echo >> mine' && getcap mine
      setcap cap_chown+ep mine && sync -f . && getcap mine`);
    expect(said).toBe('mine cap_chown=ep\nmine cap_chown=ep\n');
  });
});

/** Requests of these operations since `before`. */
async function requests(volume: Volume): Promise<Record<string, number>> {
  const { session } = JSON.parse((await quarry('stat', '--json', volume.directory)).stdout);
  const counts = Object.entries(session.operations as Record<string, { requests: number }>);
  return Object.fromEntries(counts.map(([name, count]) => [name, count.requests]));
}

describeQuarry('what attributes cost', () => {
  const FILES = 100;
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
  });
  afterAll(() => volume?.destroy());

  /** Requests that the script makes the kernel send, of those that have to do with attributes. */
  async function cost(script: string): Promise<Record<string, number>> {
    const before = await requests(volume);
    await volume.shell(script);
    const after = await requests(volume);
    const names = ['getxattr', 'listxattr', 'setxattr', 'removexattr'];
    return Object.fromEntries(names.map((name) => [name, (after[name] ?? 0) - (before[name] ?? 0)]));
  }
  const NOTHING = { getxattr: 0, listxattr: 0, setxattr: 0, removexattr: 0 };

  test('a new file with data is asked for a capability once, and has no block for it', async () => {
    const made = await cost(`mkdir d && python3 -c "
for number in range(${FILES}):
    with open(f'd/{number}', 'xb', buffering=0) as file: file.write(bytes(4096))"`);
    expect(made).toEqual({ ...NOTHING, getxattr: FILES });
    expect(await volume.shell('stat -c %b d/* | sort -u')).toBe('8\n');
  });

  test('ls -l asks once for each ACL, and not again', async () => {
    await volume.remount();
    const first = await cost('ls -l d');
    // One for each file, and those of the directory, and one for a label.
    expect(first.getxattr).toBeGreaterThanOrEqual(FILES);
    expect(first.getxattr).toBeLessThanOrEqual(FILES + 5);
    const second = await cost('ls -l d');
    expect(second.getxattr).toBeLessThanOrEqual(1);
  });

  test.skipIf(NO_PROGRAMS)(
    'with noacl ls -l asks for no ACL, and with nouser_xattr there are none of users',
    async () => {
      await volume.shell(
        'setfacl -m u:1234:r d/7 && setfattr -n user.a -v b d/7 && setfattr -n trusted.a d/7',
      );
      await volume.remount('-o', 'noacl,nouser_xattr');
      expect((await cost('ls -l d')).getxattr).toBeLessThanOrEqual(3);
      expect(await volume.shell('getfattr -d -m - d/7')).toBe('# file: d/7\ntrusted.a=""\n\n');
      const refused = await volume.shellResult(
        'setfacl -m u:1:r d/8; setfattr -n user.a d/8; getfattr -n user.a d/7',
      );
      expect(refused.stderr.match(/Operation not supported/g)).toHaveLength(3);
      await volume.remount();
      expect(await volume.shell('getfacl -c d/7 | grep 1234; getfattr --only-values -n user.a d/7')).toBe(
        'user:1234:r--\nb',
      );
    },
  );

  test.skipIf(NO_PROGRAMS)(
    'with noxattr there are none, nothing is asked for them, and a write still ends a capability',
    async () => {
      await volume.shell('for name in w x y z; do cp /bin/true $name; setcap cap_net_raw=ep $name; done');
      await volume.shell('setfacl -m u:1234:r w; mkdir n');
      await volume.remount('-o', 'noxattr');
      const making = 'for i in $(seq 300); do echo $i > n/$i; done; cp -a /bin/true n; ls -l n';
      expect((await cost(making)).getxattr).toBeLessThanOrEqual(1);
      const refused = await volume.shellResult('setfattr -n user.a w; getcap w; getfattr -d -m - w');
      expect(refused.stderr).toMatch(/Operation not supported/);
      expect(refused.stdout).toBe('');
      await volume.shell('echo >> w; fallocate -p -o 0 -l 4096 x; truncate -s 100 y; sync -f .');
      await volume.remount();
      expect(await volume.shell('getcap w x y z')).toBe('z cap_net_raw=ep\n');
      expect(await volume.shell('getfacl -c w | grep 1234')).toBe('user:1234:r--\n');
    },
  );

  test('the space that they take is told at once', async () => {
    const said = await volume.python(`
import os
os.mkdir('space'); open('space/file', 'w').close()
for path in ('space', 'space/file'):
    seen = [os.stat(path).st_blocks]
    os.setxattr(path, 'user.a', bytes(3000)); seen.append(os.stat(path).st_blocks)
    os.removexattr(path, 'user.a'); seen.append(os.stat(path).st_blocks)
    print(seen[1] > seen[0] == seen[2])`);
    expect(said).toBe('True\nTrue\n');
  });

  test('values of 64 KiB, and not of more', async () => {
    const said = await volume.python(`
import errno, os
os.setxattr('d/8', 'user.long', bytes(65536))
assert os.getxattr('d/8', 'user.long') == bytes(65536)
for number in range(300): os.setxattr('d/8', f'user.{number}', b'x' * number)
assert len(os.listxattr('d/8')) == 301
try: os.setxattr('d/8', 'user.long', bytes(65537))
except OSError as error: print(errno.errorcode[error.errno])`);
    expect(said).toBe('E2BIG\n');
  });

  test.skipIf(NO_PROGRAMS)('a mount that is recorded has them too; the record does not', async () => {
    const file = volume.scratch.file('record');
    await volume.remount('-o', `record=${file}`);
    await volume.shell(`mkdir r && setfacl -m d:u:1234:rwx r && echo x > r/f && setfattr -n user.a -v b r/f
      getfacl -c r/f | grep -q 1234 && setfattr -x user.a r/f && setfacl -b r/f`);
    await volume.unmountAndCheck();
    const reader = new RecordReader(file);
    try {
      expect(Array.from(reader.operations()).length).toBeGreaterThan(FILES);
      expect(reader.isWhole).toBe(true);
    } finally {
      reader.close();
    }
  });
});
