/**
 * A system on which `quarry install` was run: its own mount(8), umount(8), fsck(8) and mkfs(8), in a
 * mount namespace of its own, where /sbin, /etc and /usr/local are layers that go with it.
 */
import { writeFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { describeQuarry, MIB, QUARRY, quarry, runInNamespace, Volume } from './harness.ts';

let volume: Volume | undefined;
afterEach(() => volume?.destroy());

/** Layers over what an installation writes to, without what others have put there. */
function installed(folder: string): string {
  return `
    layers='${folder}/layers'; mkdir "$layers"; mount -t tmpfs none "$layers"
    for at in /usr/sbin /etc /usr/local; do
      up="$layers$at"; mkdir -p "$up/upper" "$up/work"
      mount -t overlay none -o "lowerdir=$at,upperdir=$up/upper,workdir=$up/work" "$at"
    done
    rm -f /sbin/*quarry* /usr/local/bin/quarry; export PATH="/usr/local/bin:/usr/sbin:$PATH"
    '${process.execPath}' '${QUARRY}' install --force > /dev/null`;
}

describeQuarry('after quarry install', () => {
  test('mkfs, fstab, fsck -A and umount by the names of the system', async () => {
    const made = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB }, { mounted: false });
    volume = made;
    const image = made.scratch.file('other.img');
    const fstab = made.scratch.file('fstab');
    const other = `${made.directory}-other`;
    writeFileSync(
      fstab,
      `${made.target} ${made.directory} quarry noatime 0 2
${image} ${other} quarry defaults 0 0
${image}-missing ${other} quarry nofail 0 0
`,
    );
    const label = `home-${process.pid}`;
    const result = await runInNamespace(`
      ${installed(made.scratch.path)}
      mkdir '${other}'; truncate -s 64M '${image}'; cp '${fstab}' /etc/fstab
      mkfs -t quarry -q -f -L '${label}' '${made.target}'; mkfs -t quarry -q '${image}'
      fsck -A -T
      mount -a; findmnt -n -o FSTYPE,OPTIONS '${made.directory}' | cut -d, -f1,2
      { cat /proc/[0-9]*/cmdline 2> /dev/null || true; } | tr '\\0' '\\n' | grep -ac '^quarry: .* on ${made.directory}\\(-other\\)\\?$'
      quarry list | grep -F '${made.target}' | sed -E 's/ +/ /g;s/ [0-9]+ [^ ]+ MiB [^ ]+ MiB / PID SIZE FREE /'
      kill -9 "$(quarry list --json | python3 -c "import json,sys; print([m['pid'] for m in json.load(sys.stdin) if m['directory'] == '${other}'][0])")"
      sleep 0.5; quarry list | grep -F '${image}' | sed -E 's/ +/ /g'; quarry umount '${other}' 2> /dev/null
      umount '${made.directory}'
      mount -t fuse.quarry '${image}' '${other}' 2> /dev/null; findmnt -n -o FSTYPE '${other}'; umount '${other}'
      quarry mount 'LABEL=${label}' '${made.directory}'; findmnt -n -o SOURCE '${made.directory}'
      umount '${made.directory}'
      quarry-probe '${made.target}' | grep LABEL_ENC; quarry-probe /dev/null || echo unknown
      quarry info LABEL=none-such || echo refused
      quarry mount -o nofail LABEL=none-such '${other}' && echo passed
      quarry install --uninstall | grep -c 'files taken away'; ls /sbin | grep -c quarry || true`);
    expect(result).toMatchObject({
      stdout: `${made.target}: clean; 1 inodes (0 files, 1 directories), 23/16384 blocks
fuseblk.quarry rw,noatime
2
${made.target} ${made.directory} ${label} PID SIZE FREE rw
${image} ${other} its daemon is gone
fuse.quarry
${made.target}
ID_FS_LABEL_ENC=${label}
unknown
refused
passed
1
0
`,
      stderr: 'quarry: no block device that can be read has a volume of LABEL=none-such\n',
    });
    expect(await quarry('fsck', '-n', made.target)).toMatchObject({ status: 0 });
  });

  test('the service is stopped by what its unit says, and its mount detached where it is in use', async () => {
    const made = await Volume.make({ kind: 'image', sizeBytes: 64 * MIB }, { mounted: false });
    volume = made;
    const unit = '/etc/systemd/system/quarry@.service';
    const words = 'import shlex,sys; print(shlex.join(shlex.split(sys.stdin.read().replace("$$", "$"))))';
    const result = await runInNamespace(`
      ${installed(made.scratch.path)}
      if command -v systemd-analyze > /dev/null; then systemd-analyze verify --man=no '${unit}'; fi
      stop="$(sed -n 's/^ExecStop=//p' '${unit}' | python3 -c '${words}')"
      export DIRECTORY='${made.directory}'
      daemon() { quarry list --json | python3 -c 'import json,sys; print([m["pid"] for m in json.load(sys.stdin) if m["directory"] == sys.argv[1]][0])' "$DIRECTORY"; }

      quarry mount '${made.target}' "$DIRECTORY"; echo unused > "$DIRECTORY/a"
      eval "$stop"; mountpoint -q "$DIRECTORY"; export MAINPID=1
      eval "$stop"; quarry fsck -n '${made.target}' > /dev/null; echo ended

      quarry mount '${made.target}' "$DIRECTORY"; pid="$(daemon)"; exec 7> "$DIRECTORY/b"
      eval "$stop" 2> '${made.scratch.file('said')}'
      findmnt "$DIRECTORY" || echo detached; kill -TERM "$pid"; sleep 0.5; kill -0 "$pid" && echo waits
      echo late >&7; exec 7>&-
      while kill -0 "$pid" 2> /dev/null; do sleep 0.1; done
      quarry fsck -n '${made.target}' > /dev/null; quarry cat '${made.target}:/a' '${made.target}:/b'`);
    expect(result).toMatchObject({ stdout: 'ended\ndetached\nwaits\nunused\nlate\n', stderr: '' });
  });
});
