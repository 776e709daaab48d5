/**
 * Where autofs(5) mounts when somebody looks, and unmounts when nobody does: whoever is not of the
 * process group that serves it waits until that says it is done, so a part of a command that left
 * the group would wait for itself.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { describeQuarry, QUARRY, run, Volume } from './harness.ts';

const HAS_AUTOFS = /\tautofs$/m.test(readFileSync('/proc/filesystems', 'utf8'));

/** Serves a direct autofs mount on a directory: one mount, one unmount when it is idle. */
const SERVER = `
import ctypes, fcntl, os, struct, subprocess, sys, threading
target, place, *quarry = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
READY, FAIL, EXPIRE = 0x9360, 0x9361, 0x40049366
taken, given = os.pipe()
options = 'fd=%d,pgrp=%d,minproto=5,maxproto=5,direct' % (given, os.getpgrp())
if libc.mount(b'quarry-test', place.encode(), b'autofs', 0, options.encode()): sys.exit('autofs: errno %d' % ctypes.get_errno())
root = os.open(place, os.O_RDONLY)
os.close(given)
def serve(kind, *words):
    packet = os.read(taken, 304)
    assert struct.unpack_from('ii', packet) == (5, kind), packet[:16]
    token = struct.unpack_from('I', packet, 8)[0]
    try: done = subprocess.run([*quarry, *words], timeout=30).returncode == 0
    except subprocess.TimeoutExpired: done = print('no end of', words[0]) or False
    fcntl.ioctl(root, READY if done else FAIL, token)
    return done
try:
    # Somebody else looks: not of our group.
    looker = subprocess.Popen(['setsid', 'sh', '-c', 'echo hello > $0/file; cat $0/file', place])
    mounted = serve(5, 'mount', target, place)
    print('mounted', mounted, 'looked', looker.wait(30))
    idle = threading.Thread(target=lambda: fcntl.ioctl(root, EXPIRE, struct.pack('i', 1)))
    idle.start()
    print('unmounted', serve(6, 'umount', place))
    idle.join(10)
finally:
    os.close(root)
    libc.umount2(place.encode(), 2)
    libc.umount2(place.encode(), 2)
`;

describeQuarry('autofs', () => {
  (HAS_AUTOFS ? test : test.skip).each(['image', 'loop'] as const)(
    'a volume on %s is mounted when somebody looks, and unmounted when nobody does',
    async (kind) => {
      const volume = await Volume.make({ kind, sizeBytes: 64 * 2 ** 20 }, { mounted: false });
      try {
        const place = join(volume.scratch.path, 'auto');
        mkdirSync(place);
        const words = ['-c', SERVER, volume.target, place, process.execPath, QUARRY];
        expect(await run('python3', words)).toEqual({
          status: 0,
          stdout: 'hello\nmounted True looked 0\nunmounted True\n',
          stderr: '',
        });
      } finally {
        await volume.destroy();
      }
    },
  );
});
