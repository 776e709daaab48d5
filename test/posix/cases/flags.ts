/** What chattr(1) sets: FS_IOC_SETFLAGS, and what the flags forbid. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { type Calls, EXCHANGE, Flag, WHITEOUT } from '../calls.ts';
import { contentOf, list, make, moved, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const flags = new Subject('flags');

const OF_FILES = Flag.sync | Flag.noDump | Flag.noAccessTime;
const PAST = 1_000_000_001n;
const MOMENT_MILLISECONDS = 30;

/** Changes of the attributes that both flags forbid. */
async function refusesChanges(fs: Calls, path: string): Promise<void> {
  await refuses('EPERM', fs.chmod(path, 0o600));
  await refuses('EPERM', fs.chown(path, 1000, undefined));
  await refuses('EPERM', fs.chown(path, undefined, 1000));
  await refuses('EPERM', fs.utimens(path, PAST, 'omit'));
  await refuses('EPERM', fs.utimens(path, 'omit', PAST));
  await refuses('EPERM', fs.utimens(path, 'now', 'omit'));
}

/**
 * When it is the same twice: with its cache of times, Linux shows the old time of change of a file
 * until it has let go of the inode, which the mount asks for a moment after the flags were set.
 */
async function restingStatus(fs: Calls, path: string): Promise<Awaited<ReturnType<Calls['status']>>> {
  for (let last = await fs.status(path); ; ) {
    await sleep(MOMENT_MILLISECONDS);
    const status = await fs.status(path);
    if (status.changeNs === last.changeNs) return status;
    last = status;
  }
}

flags.case('are set, told and taken away', async (fs) => {
  await make(fs, 'file');
  await fs.mkdir('d');
  for (const path of ['file', 'd']) {
    expect(await fs.flags(path)).toBe(0);
    for (const flag of [Flag.immutable, Flag.append, OF_FILES, OF_FILES | Flag.append, 0]) {
      await fs.setFlags(path, flag);
      expect(await fs.flags(path)).toBe(flag);
    }
  }
  await fs.setFlags('d', OF_FILES | Flag.dirSync | Flag.topDir);
  expect(await fs.flags('d')).toBe(OF_FILES | Flag.dirSync | Flag.topDir);
});

flags.case('of directories are none of files: EOPNOTSUPP', async (fs) => {
  await make(fs, 'file');
  for (const flag of [Flag.dirSync, Flag.topDir, Flag.givesProject])
    await refuses('EOPNOTSUPP', fs.setFlags('file', flag));
  expect(await fs.flags('file')).toBe(0);
});

flags.case('immutable: the file stays as it is', async (fs) => {
  await make(fs, 'file', 'content');
  await make(fs, 'other', 'other');
  await fs.setFlags('file', Flag.immutable);
  const before = await restingStatus(fs, 'file');
  await refusesChanges(fs, 'file');
  await refuses('EPERM', fs.utimens('file', 'now', 'now'));
  await refuses('EPERM', fs.truncate('file', 3));
  await refuses('EPERM', fs.truncate('file', 30));
  await refuses('EPERM', fs.link('file', 'link'));
  await refuses('EPERM', fs.unlink('file'));
  await refuses('EPERM', fs.rename('file', 'name'));
  await refuses('EPERM', fs.rename('other', 'file'));
  await refuses('EPERM', fs.rename('other', 'file', EXCHANGE));
  await refuses('EPERM', fs.rename('file', 'name', WHITEOUT));
  expect(await contentOf(fs, 'file')).toBe('content');
  expect(await list(fs, '.')).toEqual(['file', 'other']);
  const { modifyNs, changeNs, links } = await fs.status('file');
  expect({ modifyNs, changeNs, links }).toEqual({
    modifyNs: before.modifyNs,
    changeNs: before.changeNs,
    links: 1,
  });
  await fs.setFlags('file', 0);
  await fs.chmod('file', 0o600);
  await fs.truncate('file', 3);
  await fs.unlink('file');
});

flags.case('immutable: who has the file open writes nothing either', async (fs) => {
  await make(fs, 'file', 'content');
  const file = await fs.open('file', 'both');
  await file.write(0, Buffer.from('C'));
  await fs.setFlags('file', Flag.immutable);
  await refuses('EPERM', file.write(0, Buffer.from('x')));
  await refuses('EPERM', file.write(7, Buffer.from('x')));
  await refuses('EPERM', file.truncate(1));
  await refuses('EPERM', file.chmod(0o600));
  expect((await file.read(0, 10)).toString()).toBe('Content');
  await file.sync();
  await file.close();
  expect(await contentOf(fs, 'file')).toBe('Content');
});

flags.case('immutable: nor does it get attributes, holes or other bytes', async (fs) => {
  await make(fs, 'file', 'content');
  await make(fs, 'source', 'another');
  await fs.setAttribute('file', 'user.a', Buffer.from('a'));
  const file = await fs.open('file', 'both');
  const source = await fs.open('source', 'read');
  for (const flag of [Flag.immutable, Flag.append]) {
    await fs.setFlags('file', flag);
    await refuses('EPERM', fs.setAttribute('file', 'user.b', Buffer.from('b')));
    await refuses('EPERM', fs.removeAttribute('file', 'user.a'));
    await refuses('EPERM', file.fallocate('punch', 0, 4096, true));
    await refuses('EPERM', file.fallocate('zero', 0, 4096, true));
  }
  await file.fallocate('allocate', 0, 8192, true);
  await fs.setFlags('file', Flag.immutable);
  await refuses('EPERM', file.fallocate('allocate', 0, 16384, true));
  await refuses('EPERM', source.copyTo(file, 0, 0, 7));
  await source.close();
  await file.close();
  expect(await contentOf(fs, 'file')).toBe('content');
});

flags.case(
  'immutable: the file is not opened for writing',
  async (fs) => {
    await make(fs, 'file', 'content');
    await fs.setFlags('file', Flag.immutable);
    for (const access of ['write', 'both'] as const) {
      await refuses('EPERM', fs.open('file', access));
      await refuses('EPERM', fs.open('file', access, ['append']));
      await refuses('EPERM', fs.open('file', access, ['create', 'truncate']));
    }
    expect(await contentOf(fs, 'file')).toBe('content');
    await fs.setFlags('file', 0);
    await (await fs.open('file', 'both', ['truncate'])).close();
    expect(await contentOf(fs, 'file')).toBe('');
  },
  'open files',
);

flags.case('immutable: no name comes into the directory, goes or changes', async (fs) => {
  await fs.mkdir('d');
  await fs.mkdir('d/sub');
  await make(fs, 'd/file', 'content');
  await make(fs, 'other');
  await fs.setFlags('d', Flag.immutable);
  await refusesChanges(fs, 'd');
  await refuses('EPERM', make(fs, 'd/new'));
  await refuses('EPERM', fs.mkdir('d/new'));
  await refuses('EPERM', fs.symlink('target', 'd/new'));
  await refuses('EPERM', fs.link('other', 'd/new'));
  await refuses('EPERM', fs.open('d', 'both', ['unnamed']));
  await refuses('EPERM', fs.unlink('d/file'));
  await refuses('EPERM', fs.rmdir('d/sub'));
  await refuses('EPERM', fs.rename('d/file', 'd/new'));
  await refuses('EPERM', fs.rename('d/file', 'new'));
  await refuses('EPERM', fs.rename('other', 'd/new'));
  await refuses('EPERM', fs.rename('other', 'd/file'));
  await refuses('EPERM', fs.rename('d', 'e'));
  await refuses('EPERM', fs.rmdir('d'));
  await refuses('EEXIST', fs.mkdir('d/sub'));
  await refuses('ENOENT', fs.unlink('d/missing'));
  expect(await list(fs, 'd')).toEqual(['file', 'sub']);
  await fs.chmod('d/file', 0o600);
  await fs.truncate('d/file', 2);
  await make(fs, 'd/sub/new');
  await fs.setFlags('d', 0);
  await fs.unlink('d/file');
});

flags.case('append: the file grows, and nothing else', async (fs) => {
  await make(fs, 'file', 'content');
  await make(fs, 'other');
  await fs.setFlags('file', Flag.append);
  await refusesChanges(fs, 'file');
  await refuses('EPERM', fs.truncate('file', 3));
  await refuses('EPERM', fs.truncate('file', 30));
  await refuses('EPERM', fs.link('file', 'link'));
  await refuses('EPERM', fs.unlink('file'));
  await refuses('EPERM', fs.rename('file', 'name'));
  await refuses('EPERM', fs.rename('other', 'file'));
  const file = await fs.open('file', 'write', ['append']);
  await file.write(7, Buffer.from(' and more'));
  await file.sync();
  await file.write(16, Buffer.from('.'));
  await file.close();
  expect(await contentOf(fs, 'file')).toBe('content and more.');
  const times = await moved(fs, ['file'], () => fs.utimens('file', 'now', 'now'));
  expect(times).toEqual({ file: 'amc' });
});

flags.case(
  'append: the file is not opened for writing elsewhere',
  async (fs) => {
    await make(fs, 'file', 'content');
    await fs.setFlags('file', Flag.append);
    for (const access of ['write', 'both'] as const) {
      await refuses('EPERM', fs.open('file', access));
      await refuses('EPERM', fs.open('file', access, ['append', 'truncate']));
    }
    await (await fs.open('file', 'both', ['append'])).close();
    expect(await contentOf(fs, 'file')).toBe('content');
  },
  'open files',
);

flags.case('append: names come into the directory, and do not go', async (fs) => {
  await fs.mkdir('d');
  await make(fs, 'd/file', 'content');
  await make(fs, 'other');
  await make(fs, 'third');
  await fs.setFlags('d', Flag.append);
  await refusesChanges(fs, 'd');
  await refuses('EPERM', fs.utimens('d', 'omit', 'now'));
  await make(fs, 'd/new');
  await fs.rename('other', 'd/other');
  await fs.link('third', 'd/third');
  await refuses('EPERM', fs.unlink('d/file'));
  await refuses('EPERM', fs.rename('d/file', 'd/name'));
  await refuses('EPERM', fs.rename('d/file', 'name'));
  await refuses('EPERM', fs.rename('third', 'd/file'));
  expect(await list(fs, 'd')).toEqual(['file', 'new', 'other', 'third']);
});

flags.case('are inherited, but for those that forbid', async (fs) => {
  const all = OF_FILES | Flag.dirSync | Flag.topDir | Flag.givesProject;
  await fs.mkdir('d');
  await fs.setFlags('d', all | Flag.append);
  await make(fs, 'd/file');
  await fs.mkdir('d/sub');
  const unnamed = await fs.open('d', 'both', ['unnamed']);
  await unnamed.link('d/linked');
  await unnamed.close();
  expect(await fs.flags('d/file')).toBe(OF_FILES);
  expect(await fs.flags('d/linked')).toBe(OF_FILES);
  expect(await fs.flags('d/sub')).toBe(OF_FILES | Flag.dirSync | Flag.givesProject);
});

flags.case('noAccessTime: reading leaves no mark', async (fs) => {
  await make(fs, 'file', 'content');
  await make(fs, 'marked', 'content');
  await fs.setFlags('file', Flag.noAccessTime);
  const times = await moved(fs, ['file', 'marked'], async () => {
    expect(await contentOf(fs, 'file')).toBe('content');
    expect(await contentOf(fs, 'marked')).toBe('content');
  });
  expect(times.file).toBe('');
});

flags.case(
  'are set by the owner, and those that forbid by root',
  async (fs) => {
    await make(fs, 'file');
    await fs.chown('file', 1000, 1000);
    const owner = fs.as({ uid: 1000, gid: 1000 });
    await owner.setFlags('file', Flag.noDump);
    await refuses('EPERM', owner.setFlags('file', Flag.noDump | Flag.immutable));
    await refuses('EPERM', owner.setFlags('file', Flag.append));
    await refuses('EPERM', fs.as({ uid: 1001, gid: 1001 }).setFlags('file', 0));
    expect(await fs.flags('file')).toBe(Flag.noDump);
  },
  'permissions',
);
