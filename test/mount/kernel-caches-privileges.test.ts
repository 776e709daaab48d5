/**
 * Who writes to another's set-user-id file does not become that user by running it, whatever the
 * kernel has cached of it.
 *
 * In each case the file is root's, the kernel has its mode in its cache (it was listed and run),
 * and a stranger with write permission writes to it without changing a byte. Then its copy of `id`
 * must print the stranger's own numbers, and the kernel must know of the new mode without having
 * asked: somebody may be about to run the file.
 */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, MIB, shell, Volume } from './harness.ts';

const STRANGER = 'setpriv --reuid 1234 --regid 1234 --clear-groups';
const DIRECT_WRITER = fileURLToPath(new URL('direct-writer.c', import.meta.url));

/** A write through python: the flags of the descriptor, and what is done with it. */
function byPython(flags: string, action: string): string {
  return `python3 -c "
import mmap, os
descriptor = os.open('file', os.O_RDWR | ${flags})
size = os.fstat(descriptor).st_size
block = mmap.mmap(-1, 4096)
os.preadv(descriptor, [block], 0)
${action}"`;
}

const REWRITE = 'assert os.pwritev(descriptor, [block], 0) == 4096';

const WRITES: Record<string, string> = {
  buffered: byPython('0', REWRITE),
  'buffered, and synced': byPython('0', `${REWRITE}; os.fsync(descriptor)`),
  O_SYNC: byPython('os.O_SYNC', REWRITE),
  O_DIRECT: byPython('os.O_DIRECT', REWRITE),
  'O_DIRECT | O_SYNC': byPython('os.O_DIRECT | os.O_SYNC', REWRITE),
  appending: byPython('os.O_APPEND', 'assert os.write(descriptor, bytes(4096)) == 4096'),
  truncate: byPython('0', "os.truncate('file', size)"),
  ftruncate: byPython('0', 'os.ftruncate(descriptor, size + 1)'),
  libaio: '"$DIRECT_WRITER" aio once file',
  io_uring: '"$DIRECT_WRITER" uring once file',
};

describeMount('set-user-id files and the writes of strangers', () => {
  let volume: Volume;
  let environment: Record<string, string>;

  beforeAll(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    const program = volume.scratch.file('direct-writer');
    await shell(`cc -O2 -o '${program}' '${DIRECT_WRITER}' -lpthread`);
    await volume.shell('chmod 755 .');
    environment = { DIRECT_WRITER: program };
  });
  afterAll(() => volume?.destroy());

  const prepared = (mode: string) =>
    `rm -f file; cp /usr/bin/id file; chown 0:0 file; chmod ${mode} file; ls -l > /dev/null`;

  test.each(Object.entries(WRITES))('with set-user-id and set-group-id: %s', async (_, write) => {
    const said = await volume.shell(
      `${prepared('6777')}; ${STRANGER} ./file -u; ${STRANGER} ./file -g; ${STRANGER} bash -c '${write.replaceAll("'", `'\\''`)}'
      stat --cached=always -c %a file; ${STRANGER} ./file -u; ${STRANGER} ./file -g; stat -c %a file`,
      { env: environment },
    );
    expect(said.split('\n')).toEqual(['0', '0', '777', '1234', '1234', '777', '']);
  });

  test.each(Object.entries(WRITES))('set-group-id that nobody can use: %s', async (_, write) => {
    const said = await volume.shell(
      `${prepared('2767')}; ${STRANGER} bash -c '${write.replaceAll("'", `'\\''`)}'; stat -c %a file`,
      { env: environment },
    );
    expect(said.trim()).toBe('767');
  });

  test('who owns the group, or may all, keeps what he may', async () => {
    const rewrite = 'dd if=/usr/bin/id of=file bs=4096 count=1 conv=notrunc status=none';
    const said = await volume.shell(`
      ${prepared('2767')}; setpriv --reuid 1234 --regid 0 --clear-groups ${rewrite}; stat -c %a file
      ${prepared('6777')}; ${rewrite}; stat -c %a file; ${STRANGER} ./file -u`);
    expect(said.split('\n')).toEqual(['2767', '6777', '0', '']);
  });

  test.each(['aio', 'uring', 'sync'])(
    'who gave up his own rights is a stranger as well: %s',
    async (engine) => {
      const said = await volume.shell(
        `${prepared('6767')}; "$DIRECT_WRITER" ${engine} twice file; stat --cached=always -c %a file; stat -c %a file`,
        { env: environment },
      );
      expect(said.trim().split('\n')).toEqual(['767', '767']);
    },
  );

  test('what was dropped stays dropped', async () => {
    await volume.shell(`${prepared('6777')}; ${STRANGER} bash -c '${WRITES.libaio}'`, { env: environment });
    await volume.remount();
    expect((await volume.shell('stat -c %a file')).trim()).toBe('777');
  });
});
