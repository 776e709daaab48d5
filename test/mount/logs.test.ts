/** Where a mount's log goes, what the command itself says of it, and `quarry log`. */
import { chmodSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeQuarry, MIB, QUARRY, quarry, runInNamespace, Volume } from './harness.ts';

/** Stands for systemd's journal: keeps what comes as journalctl would print it. */
const JOURNAL = `
import json, os, socket, sys, time
os.makedirs('/run/systemd/journal')
keeper = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
keeper.bind('/run/systemd/journal/socket')
with open('/run/entries', 'a') as entries:
    while True:
        fields = dict(line.split('=', 1) for line in keeper.recv(65536).decode().splitlines())
        fields['__REALTIME_TIMESTAMP'] = str(time.time_ns() // 1000)
        print(json.dumps(fields), file=entries, flush=True)
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
    writeFileSync(
      reader,
      `#!/bin/sh\nfor last; do :; done\ngrep -F "$(expr "$last" : '[A-Z_]*=\\(.*\\)')" /run/entries\n`,
    );
    chmodSync(reader, 0o755);
    const { stdout, stderr, status } = await runInNamespace(
      script(
        `PATH='${volume.scratch.path}':$PATH
         python3 '${program}' & keeper=$!
         trap 'kill $keeper' EXIT
         until [ -S /run/systemd/journal/socket ]; do sleep 0.05; done`,
        `echo === target; quarry log '${volume.image}'
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
    expect(parts[1]).toBe(
      parts[0]?.replace(
        /^(\S+ \[\d+\]) .*\n/,
        (line, head) => `${head} log of ${volume.image} on ${volume.directory}\n${line}`,
      ),
    );
    expect(parts[2]).toBe(parts[0]);
    expect(parts[3]).toMatch(/^\/run\/quarry\/[^\n]*-mnt\.log\n$/);
  });
});
