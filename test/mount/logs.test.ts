/** Where a mount's log goes, what the command itself says of it, and `quarry log`. */
import { chmodSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeQuarry, MIB, QUARRY, quarry, runInNamespace, Volume } from './harness.ts';

/**
 * Stands for systemd's journal: keeps what comes as journalctl would print it, with what the kernel
 * says of the sender.
 */
const JOURNAL = `
import json, os, socket, struct, time
os.makedirs('/run/systemd/journal')
keeper = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
keeper.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
keeper.bind('/run/systemd/journal/socket')
os.chmod('/run/systemd/journal/socket', 0o666)
with open('/run/entries', 'a') as entries:
    while True:
        text, ancillary, _, _ = keeper.recvmsg(65536, 64)
        fields = dict(line.split('=', 1) for line in text.decode().splitlines())
        fields = {name: value for name, value in fields.items() if not name.startswith('_')}
        fields['_PID'], fields['_UID'], _ = map(str, struct.unpack('3i', ancillary[0][2][:12]))
        fields['__REALTIME_TIMESTAMP'] = str(time.time_ns() // 1000)
        print(json.dumps(fields), file=entries, flush=True)
`;
/** Stands for journalctl: values of one field are alternatives, fields are conditions. */
const READER = `#!/usr/bin/env python3
import json, sys
wanted = {}
for word in sys.argv[1:]:
    if not word.startswith('-'):
        name, value = word.split('=', 1)
        wanted.setdefault(name, set()).add(value)
for line in open('/run/entries'):
    entry = json.loads(line)
    if all(entry.get(name) in values for name, values in wanted.items()): print(line, end='')
`;
/** Another user, who claims to be the daemon: identifier, user and process as root's. */
const FORGER = `
import os, socket, sys
target, directory = sys.argv[1:]
os.setresuid(65533, 65533, 65533)
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect('/run/systemd/journal/socket')
lines = ['MESSAGE=forged', 'SYSLOG_IDENTIFIER=quarry', 'SYSLOG_PID=1', '_UID=0', '_PID=1']
journal.send('\\n'.join([*lines, 'QUARRY_TARGET=' + target, 'QUARRY_MOUNT=' + directory, '']).encode())
`;
const REPLAYED = /not unmounted in order/;

describeQuarry('what a mount says', () => {
  let volume: Volume;
  beforeEach(async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
    expect(await quarry('mkfs', '--force', '-q', volume.image)).toMatchObject({ status: 0 });
  });
  afterEach(() => volume?.destroy());

  /** Mounts, kills the daemon, and mounts again, where /run is a place of its own. */
  function script(before: string, after: string): string {
    const { image, directory } = volume;
    return `
      set -e
      quarry() { '${process.execPath}' '${QUARRY}' "$@"; }
      mount -t tmpfs none /run
      ${before}
      quarry mount '${image}' '${directory}'
      mkdir '${directory}/made'
      pid=$(quarry stat --json '${directory}' | sed -n 's/^  "pid": \\([0-9]*\\),$/\\1/p')
      kill -9 $pid
      while [ -e /proc/$pid ]; do sleep 0.05; done
      quarry mount '${image}' '${directory}'
      echo === log; quarry log '${directory}'
      quarry umount '${directory}'
      ${after}
      ! quarry log /nowhere`;
  }

  test('goes to the journal, and is found there again when the mount is gone', async () => {
    const program = volume.scratch.file('journal.py');
    writeFileSync(program, JOURNAL);
    const reader = volume.scratch.file('journalctl');
    writeFileSync(reader, READER);
    const forger = volume.scratch.file('forger.py');
    writeFileSync(forger, FORGER);
    chmodSync(reader, 0o755);
    const { stdout, stderr, status } = await runInNamespace(
      script(
        `PATH='${volume.scratch.path}':$PATH
         python3 '${program}' & keeper=$!
         trap 'kill $keeper' EXIT
         until [ -S /run/systemd/journal/socket ]; do sleep 0.05; done`,
        `python3 - '${volume.image}' '${volume.directory}' < '${forger}'
         until grep -q forged /run/entries; do sleep 0.05; done
         echo === target; quarry log '${volume.image}'
         echo === directory; quarry log -n 1 '${volume.directory}'
         echo === files; find /run/quarry -type f`,
      ),
    );
    expect([status, stderr]).toEqual([0, expect.stringMatching(REPLAYED)]);
    expect(stderr).toMatch(/quarry: there is no log of \/nowhere: [^\n]*\n$/);
    const parts = stdout.split(/^=== (?:log|target|directory|files)\n/m).slice(1);
    for (const part of parts.slice(0, 3))
      expect(part).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z \[\d+\] .*not unmounted in order.*\n$/);
    expect(parts[3]).toBe('');
  });

  test('goes to a file where the system keeps none', async () => {
    const { stdout, stderr, status } = await runInNamespace(
      script(
        '',
        `echo === target; quarry log '${volume.image}'
         echo === directory; quarry log -n 1 '${volume.directory}'
         echo === files; find /run/quarry -type f`,
      ),
    );
    expect([status, stderr]).toEqual([0, expect.stringMatching(REPLAYED)]);
    const parts = stdout.split(/^=== (?:log|target|directory|files)\n/m).slice(1);
    expect(parts[0]).toMatch(/^\S+ \[\d+\] .*not unmounted in order.*\n$/);
    const [origin, ...lines] = parts[1]?.split(/(?<=\n)/) ?? [];
    const pid = parts[0]?.match(/ (\[\d+\]) /)?.[1];
    expect(origin?.replace(/^\S+Z /, '')).toBe(`${pid} log of ${volume.image} on ${volume.directory}\n`);
    expect(lines.join('')).toBe(parts[0]);
    expect(parts[2]).toBe(parts[0]);
    expect(parts[3]).toMatch(/^\/run\/quarry\/[^\n]*-mnt\.log\n$/);
  });
});
