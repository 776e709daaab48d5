/** Extended attributes: names with values, on whatever has an inode. */
import { expect } from 'vitest';
import { type Calls, Type } from '../calls.ts';
import { contentOf, list, make, moved, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const extendedAttributes = new Subject('extended attributes');

const value = (text: string) => Buffer.from(text);

/** One of each type of inode, with the namespace that all of them take. */
async function everyType(fs: Calls): Promise<string[]> {
  await make(fs, 'file', 'data');
  await fs.mkdir('directory');
  await fs.symlink('target', 'symlink');
  await fs.mknod('fifo', Type.fifo | 0o644);
  await fs.mknod('device', Type.character | 0o644, { major: 1, minor: 3 });
  await fs.mknod('socket', Type.socket | 0o644);
  return ['file', 'directory', 'symlink', 'fifo', 'device', 'socket'];
}

extendedAttributes.case('are set, changed, listed and removed on every type of inode', async (fs) => {
  for (const path of await everyType(fs)) {
    expect(await fs.attributes(path), path).toEqual([]);
    await fs.setAttribute(path, 'trusted.a', value('one'));
    await fs.setAttribute(path, 'trusted.b', value(''));
    await fs.setAttribute(path, 'trusted.a', value('another\0one'));
    expect(await fs.attributes(path)).toEqual(['trusted.a', 'trusted.b']);
    expect(await fs.attribute(path, 'trusted.a')).toEqual(value('another\0one'));
    expect(await fs.attribute(path, 'trusted.b')).toEqual(value(''));
    await fs.removeAttribute(path, 'trusted.a');
    expect(await fs.attributes(path)).toEqual(['trusted.b']);
  }
  expect(await contentOf(fs, 'file')).toBe('data');
  expect(await fs.readlink('symlink')).toBe('target');
});

extendedAttributes.case('of users and of security are others than those of root', async (fs) => {
  await make(fs, 'file');
  for (const space of ['user', 'trusted', 'security'])
    await fs.setAttribute('file', `${space}.a`, value(space));
  expect(await fs.attributes('file')).toEqual(['security.a', 'trusted.a', 'user.a']);
  for (const space of ['user', 'trusted', 'security'])
    expect(await fs.attribute('file', `${space}.a`)).toEqual(value(space));
});

extendedAttributes.case('that are not there are ENODATA', async (fs) => {
  await make(fs, 'file');
  await refuses('ENODATA', fs.attribute('file', 'user.a'));
  await refuses('ENODATA', fs.removeAttribute('file', 'user.a'));
  await refuses('ENODATA', fs.setAttribute('file', 'user.a', value('x'), 'replace'));
  expect(await fs.attributes('file')).toEqual([]);
});

extendedAttributes.case('are made only where there is none, with XATTR_CREATE', async (fs) => {
  await make(fs, 'file');
  await fs.setAttribute('file', 'user.a', value('first'), 'create');
  await refuses('EEXIST', fs.setAttribute('file', 'user.a', value('second'), 'create'));
  expect(await fs.attribute('file', 'user.a')).toEqual(value('first'));
  await fs.setAttribute('file', 'user.a', value('third'), 'replace');
  expect(await fs.attribute('file', 'user.a')).toEqual(value('third'));
});

extendedAttributes.case('have names of up to 255 bytes', async (fs) => {
  await make(fs, 'file');
  const longest = `user.${'n'.repeat(250)}`;
  await fs.setAttribute('file', longest, value('x'));
  expect(await fs.attributes('file')).toEqual([longest]);
  await refuses('ERANGE', fs.setAttribute('file', `${longest}n`, value('x')));
});

extendedAttributes.case('go with their file, and not with its name', async (fs) => {
  await make(fs, 'file', 'data');
  await fs.setAttribute('file', 'user.a', value('x'));
  await fs.link('file', 'other');
  await fs.rename('file', 'third');
  expect(await fs.attribute('other', 'user.a')).toEqual(value('x'));
  await make(fs, 'file');
  expect(await fs.attributes('file')).toEqual([]);
  await fs.rename('file', 'third');
  expect(await fs.attributes('third')).toEqual([]);
  expect(await fs.attribute('other', 'user.a')).toEqual(value('x'));
});

extendedAttributes.case('move ctime when they change, and nothing when they are read', async (fs) => {
  await make(fs, 'file');
  await fs.mkdir('d');
  for (const path of ['file', 'd']) {
    const set = () => fs.setAttribute(path, 'user.a', value('x'));
    expect(await moved(fs, [path], set)).toEqual({ [path]: 'c' });
    expect(await moved(fs, [path], () => fs.attribute(path, 'user.a'))).toEqual({ [path]: '' });
    expect(await moved(fs, [path], () => fs.attributes(path))).toEqual({ [path]: '' });
    expect(await moved(fs, [path], () => fs.removeAttribute(path, 'user.a'))).toEqual({ [path]: 'c' });
  }
});

extendedAttributes.case('are beside what is in a file and a directory', async (fs) => {
  await make(fs, 'file', 'x'.repeat(300));
  await fs.mkdir('d');
  for (let i = 0; i < 20; i++) {
    await fs.setAttribute('file', `user.${i}`, value('v'.repeat(i * 10)));
    await make(fs, `d/${i}`);
    await fs.setAttribute('d', `user.${i}`, value('v'.repeat(i * 10)));
  }
  expect(await contentOf(fs, 'file')).toBe('x'.repeat(300));
  expect((await list(fs, 'd')).length).toBe(20);
  for (const path of ['file', 'd']) {
    expect((await fs.attributes(path)).length).toBe(20);
    expect(await fs.attribute(path, 'user.19')).toEqual(value('v'.repeat(190)));
  }
});

extendedAttributes.case(
  'security.capability goes by a write, a truncation and chown, also of root',
  async (fs) => {
    const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');
    const ways: Record<string, (path: string) => Promise<void>> = {
      write: async (path) => {
        const file = await fs.open(path, 'both');
        await file.write(0, value('x'));
        await file.close();
      },
      truncate: (path) => fs.truncate(path, 1),
      chown: (path) => fs.chown(path, undefined, 5),
    };
    for (const [path, way] of Object.entries(ways)) {
      await make(fs, path, 'data');
      await fs.setAttribute(path, 'security.capability', capability);
      await fs.chmod(path, 0o755);
      expect(await fs.attribute(path, 'security.capability')).toEqual(capability);
      await way(path);
      await refuses('ENODATA', fs.attribute(path, 'security.capability'));
    }
  },
);

extendedAttributes.case(
  'of users are only on files and directories, of which they need write permission',
  async (fs) => {
    for (const path of await everyType(fs)) {
      const holds = path === 'file' || path === 'directory';
      const set = (by: Calls) => by.setAttribute(path, 'user.a', value('x'));
      if (holds) await set(fs);
      else await refuses('EPERM', set(fs));
      await refuses(holds ? 'EACCES' : 'EPERM', set(fs.as({ uid: 1001, gid: 1001 })));
      await refuses('EPERM', fs.as({ uid: 1001, gid: 1001 }).setAttribute(path, 'trusted.a', value('x')));
    }
  },
  'permissions',
);

extendedAttributes.case(
  'of no namespace that there is are refused',
  async (fs) => {
    await make(fs, 'file');
    for (const name of ['a', 'usera.b', 'system.a']) {
      await refuses('EOPNOTSUPP', fs.setAttribute('file', name, value('x')));
      await refuses('EOPNOTSUPP', fs.attribute('file', name));
      await refuses('EOPNOTSUPP', fs.removeAttribute('file', name));
    }
  },
  'open files',
);
