/** Names come and go while another thread asks for the file: nobody is told a wrong number of links. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, MIB, Volume } from './harness.ts';

const ASKED_ALL_THE_TIME = `
import ctypes, os, sys, threading
libc = ctypes.CDLL(None)
FORCE_SYNC, ALL, HERE = 0x2000, 0xfff, -100
over = False
def ask():
    answer = ctypes.create_string_buffer(256)
    while not over:
        libc.statx(HERE, b'file', FORCE_SYNC, ALL, answer)
asker = threading.Thread(target=ask, daemon=True)
asker.start()
wrong = 0
for round in range(3000):
    os.link('file', 'name')
    if sys.argv[1] == 'unlink':
        os.unlink('name')
    else:
        os.close(os.open('other', os.O_CREAT | os.O_WRONLY))
        os.rename('other', 'name')
    wrong += os.stat('file').st_nlink != 1
    if sys.argv[1] != 'unlink': os.unlink('name')
over = True
asker.join()
print(wrong)`;

describeMount('links of a file that is asked for all the time', () => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    await volume.shell('touch file');
  });
  afterAll(() => volume?.destroy());

  test.each(['unlink', 'rename'])('%s takes one away', async (how) => {
    expect(await volume.python(ASKED_ALL_THE_TIME, [how])).toBe('0\n');
  });
});
