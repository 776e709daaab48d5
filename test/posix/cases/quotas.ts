/** Quotas: what is counted for whom, and what happens at a limit. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { type Calls, type Owner, Type, type Usage } from '../calls.ts';
import { contentOf, list, make, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const quotas = new Subject('quotas');

const BLOCK = 4096;
const LIMIT_MS = 20_000;
/** Each case has a user of its own: what is counted is the volume's, not the directory's. */
let lastId = 41_000;

interface Person {
  readonly user: Owner;
  readonly group: Owner;
  /** His calls, in a directory where he may do everything. */
  readonly calls: Calls;
}

async function somebody(fs: Calls): Promise<Person> {
  const id = ++lastId;
  await fs.chmod('.', 0o777);
  return { user: { kind: 'user', id }, group: { kind: 'group', id }, calls: fs.as({ uid: id, gid: id }) };
}

/** Writes and syncs, so that it is counted; the errno of either. */
async function write(fs: Calls, path: string, from: number, blocks: number): Promise<void> {
  const file = await fs.open(path, 'write', ['create']);
  try {
    await file.write(from * BLOCK, Buffer.alloc(blocks * BLOCK, path));
    await file.sync();
  } finally {
    await file.close();
  }
}

/** What is removed is given back a moment later. */
async function has(fs: Calls, owner: Owner, blocks: number, inodes: number): Promise<void> {
  const end = Date.now() + LIMIT_MS;
  let usage: Usage;
  do {
    usage = await fs.quotas.usage(owner);
    if (usage.bytes === blocks * BLOCK && usage.inodes === inodes) return;
    await sleep(5);
  } while (Date.now() < end);
  expect(usage).toEqual({ bytes: blocks * BLOCK, inodes });
}

quotas.case(
  'a file counts for its owner and its group: what it takes, not how long it is',
  async (fs) => {
    const { user, group, calls } = await somebody(fs);
    await write(calls, 'file', 0, 5);
    await has(fs, user, 5, 1);
    await has(fs, group, 5, 1);
    await calls.truncate('file', 100 * BLOCK);
    await has(fs, user, 5, 1);
    await calls.truncate('file', 2 * BLOCK);
    await has(fs, user, 2, 1);
    await calls.unlink('file');
    await has(fs, user, 0, 0);
    await has(fs, group, 0, 0);
  },
  'quotas',
);

quotas.case(
  'every type of file is one inode, and another name of it none',
  async (fs) => {
    const { user, calls } = await somebody(fs);
    await make(calls, 'file');
    await calls.mkdir('folder');
    await calls.symlink('x', 'symlink');
    await calls.mknod('fifo', Type.fifo | 0o644);
    expect((await fs.quotas.usage(user)).inodes).toBe(4);
    await calls.link('file', 'other');
    await calls.rename('other', 'third');
    expect((await fs.quotas.usage(user)).inodes).toBe(4);
    const unnamed = await calls.open('.', 'both', ['unnamed']);
    expect((await fs.quotas.usage(user)).inodes).toBe(5);
    await unnamed.close();
    for (const name of ['file', 'third', 'symlink', 'fifo']) await calls.unlink(name);
    await calls.rmdir('folder');
    await has(fs, user, 0, 0);
  },
  'quotas',
);

quotas.case(
  'space set aside counts, and what is punched out does not',
  async (fs) => {
    const { user, calls } = await somebody(fs);
    const file = await calls.open('file', 'both', ['create']);
    await file.fallocate('allocate', 0, 8 * BLOCK, true);
    await has(fs, user, 8, 1);
    await file.write(0, Buffer.alloc(2 * BLOCK, 'x'));
    await file.sync();
    await has(fs, user, 8, 1);
    await file.fallocate('punch', BLOCK, 3 * BLOCK, true);
    await has(fs, user, 5, 1);
    await file.close();
  },
  'quotas',
);

quotas.case(
  'what is given away counts for who gets it',
  async (fs) => {
    const { user, group, calls } = await somebody(fs);
    const other = await somebody(fs);
    await write(calls, 'file', 0, 3);
    await fs.chown('file', other.user.id, undefined);
    await has(fs, user, 0, 0);
    await has(fs, other.user, 3, 1);
    await has(fs, group, 3, 1);
    await fs.chown('file', undefined, other.group.id);
    await has(fs, group, 0, 0);
    await has(fs, other.group, 3, 1);
  },
  'quotas',
);

quotas.case(
  'no write takes more blocks than the hard limit',
  async (fs) => {
    const { user, calls } = await somebody(fs);
    await fs.quotas.limit(user, { hardBytes: 6 * BLOCK });
    await write(calls, 'file', 0, 5);
    await refuses('EDQUOT', write(calls, 'more', 0, 2));
    // Which also makes good what a cache lost.
    await calls.truncate('more', 0);
    await has(fs, user, 5, 2);
    await write(calls, 'more', 0, 1);
    await write(calls, 'file', 0, 5);
    await has(fs, user, 6, 2);
    expect(await contentOf(fs, 'file')).toHaveLength(5 * BLOCK);
    await fs.quotas.limit(user, { hardBytes: 0 });
    await write(calls, 'more', 1, 20);
    await has(fs, user, 26, 2);
  },
  'quotas',
);

quotas.case(
  'a group has limits too',
  async (fs) => {
    const { user, group, calls } = await somebody(fs);
    await fs.quotas.limit(group, { hardBytes: 2 * BLOCK, hardInodes: 1 });
    await write(calls, 'file', 0, 2);
    await refuses('EDQUOT', write(calls, 'file', 2, 1));
    await calls.truncate('file', 2 * BLOCK);
    await refuses('EDQUOT', make(calls, 'other'));
    await has(fs, user, 2, 1);
  },
  'quotas',
);

quotas.case(
  'no more files than the hard limit are made, of whatever type',
  async (fs) => {
    const { user, calls } = await somebody(fs);
    await fs.quotas.limit(user, { hardInodes: 2 });
    await make(calls, 'file');
    await calls.mkdir('folder');
    await refuses('EDQUOT', make(calls, 'more'));
    await refuses('EDQUOT', calls.mkdir('more'));
    await refuses('EDQUOT', calls.symlink('x', 'more'));
    await refuses('EDQUOT', calls.mknod('more', Type.fifo | 0o644));
    await refuses('EDQUOT', calls.open('.', 'both', ['unnamed']));
    expect(await list(fs, '.')).toEqual(['file', 'folder']);
    await calls.link('file', 'more');
    await calls.rmdir('folder');
    await has(fs, user, 0, 1);
    await calls.mkdir('again');
  },
  'quotas',
);

quotas.case(
  'space is set aside within the limit, all of it or none',
  async (fs) => {
    const { user, calls } = await somebody(fs);
    await fs.quotas.limit(user, { hardBytes: 8 * BLOCK });
    const file = await calls.open('file', 'both', ['create']);
    await refuses('EDQUOT', file.fallocate('allocate', 0, 9 * BLOCK, false));
    expect((await file.status()).sizeBytes).toBe(0);
    await file.fallocate('allocate', 0, 8 * BLOCK, false);
    await file.write(0, Buffer.alloc(8 * BLOCK, 'x'));
    await file.sync();
    await has(fs, user, 8, 1);
    await file.close();
  },
  'quotas',
);

quotas.case(
  'the soft limit may be passed for a time',
  async (fs) => {
    const { user, calls } = await somebody(fs);
    await fs.quotas.limit(user, { softBytes: 2 * BLOCK, hardBytes: 5 * BLOCK, softInodes: 1 });
    await write(calls, 'file', 0, 4);
    await make(calls, 'other');
    await refuses('EDQUOT', write(calls, 'other', 0, 2));
    await calls.truncate('other', 0);
    await has(fs, user, 4, 2);
  },
  'quotas',
);

quotas.case(
  'root passes all limits, and what he gives counts',
  async (fs) => {
    const { user, calls } = await somebody(fs);
    await fs.quotas.limit(user, { hardBytes: 2 * BLOCK, hardInodes: 1 });
    await write(fs, 'one', 0, 3);
    await write(fs, 'two', 0, 3);
    await fs.chown('one', user.id, undefined);
    await fs.chown('two', user.id, undefined);
    await has(fs, user, 6, 2);
    await refuses('EDQUOT', make(calls, 'mine'));
  },
  'quotas',
);
