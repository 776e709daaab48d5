/** The calls of the libfuse 2 layer: what is made for somebody whose name it is not told. */
import { describe, expect, test } from 'vitest';
import { PathCalls } from '../../src/fuse/fuse-native-calls.ts';
import { synchronousRequests } from '../../src/fuse/synchronous.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

type Call = (...args: unknown[]) => void;

function layer(forOthers: boolean) {
  const filesystem = new MemoryFileSystem();
  const table = new PathCalls(filesystem, forOthers, () => {}).table(synchronousRequests(0)) as Record<
    string,
    Call
  >;
  return (name: string, ...args: unknown[]) =>
    new Promise<unknown[]>((resolve) => table[name]?.(...args, (...answer: unknown[]) => resolve(answer)));
}

async function modeOf(call: ReturnType<typeof layer>, path: string): Promise<number> {
  const [status, stat] = await call('getattr', path);
  expect(status).toBe(0);
  return (stat as { mode: number }).mode & 0o7777;
}

const MAKERS: readonly (readonly [name: string, ...args: unknown[]])[] = [
  ['create', 0o106755],
  ['mknod', 0o106755, 0],
  ['mknod', 0o016755, 0],
  ['mkdir', 0o046755],
];

describe.each(MAKERS)('%s with mode %i', (...made) => {
  const [name, ...args] = made as [string, ...unknown[]];
  test('for others makes nothing that runs as the daemon', async () => {
    const call = layer(true);
    expect((await call(name, '/made', ...args))[0]).toBe(0);
    expect(await modeOf(call, '/made')).toBe(0o755);
  });

  test('for the owner of the mount makes what he asked for', async () => {
    const call = layer(false);
    expect((await call(name, '/made', ...args))[0]).toBe(0);
    expect(await modeOf(call, '/made')).toBe(0o6755);
  });
});

test.each([
  ['fsync', false, 'sync'],
  ['fsync', true, 'sync of data'],
  ['fsyncdir', false, 'sync'],
  ['fsyncdir', true, 'sync of data'],
])('%s, of data alone: %s, asks for a %s', async (name, dataOnly, asked) => {
  const filesystem = new MemoryFileSystem();
  const table = new PathCalls(filesystem, true, () => {}).table(synchronousRequests(0));
  const call = (table as Record<string, Call>)[name] as Call;
  const [status] = await new Promise<unknown[]>((resolve) =>
    call('/', dataOnly, 0, (...answer: unknown[]) => resolve(answer)),
  );
  expect(status).toBe(0);
  expect(filesystem.calls.at(-1)).toEqual([asked]);
});

test('the owner of a file, who is the user of the daemon, sets the bits afterwards', async () => {
  const call = layer(true);
  await call('create', '/made', 0o100755);
  expect((await call('chmod', '/made', 0o104755))[0]).toBe(0);
  expect(await modeOf(call, '/made')).toBe(0o4755);
});
