/**
 * Mount options as they stand in fstab, on a mount; where ext4 has them too, it is the judge. The
 * words themselves are tried in test/unit/fuse-options.test.ts.
 */
import { writeFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import {
  describeMount,
  describeQuarry,
  MIB,
  QUARRY,
  quarry,
  ROOT,
  runInNamespace,
  SYSTEM,
  shell,
  Volume,
} from './harness.ts';

let volume: Volume | undefined;
afterEach(() => volume?.destroy());

/** By quarry, which changes its own; ext4 is changed by mount(8). */
function remount(options: string, directory: string): Promise<string> {
  const command = SYSTEM === 'quarry' ? `'${process.execPath}' '${QUARRY}' mount` : 'mount';
  return shell(`${command} -o 'remount,${options}' '${directory}'`);
}

const FSTAB = 'nodiratime,lazytime,errors=remount-ro,data=ordered,barrier=1,acl,user_xattr,commit=30,grpid';

describeMount('options that ext4 has too', () => {
  test('a line of fstab, and whose group new files have', async () => {
    const made = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB }, { mounted: false });
    volume = made;
    await made.mount('-o', FSTAB);
    const groups = () =>
      made.shell(`
        for dir in plain setgid; do
          mkdir $dir; chgrp 77 $dir; chmod 777 $dir
          [ $dir = plain ] || chmod g+s $dir
          setpriv --reuid 1001 --regid 1002 --clear-groups bash -c "umask 022; cd $dir; touch f; mkdir d; ln -s f l; mkfifo p"
          (cd $dir; stat -c '%n %g %a' *)
          rm -r $dir
        done`);
    const always = 'd 77 755\nf 77 644\nl 77 777\np 77 644\n';
    expect(await groups()).toBe(always + always);
    await remount('nogrpid', made.directory);
    const own = 'd 1002 755\nf 1002 644\nl 1002 777\np 1002 644\n';
    const inherited = 'd 77 2755\nf 77 644\nl 77 777\np 77 644\n';
    expect(await groups()).toBe(own + inherited);
    await remount('grpid', made.directory);
    expect(await groups()).toBe(always + always);
    await made.unmountAndCheck();
  });

  test('times of cached writes are on disk after an fsync and an unmount with lazytime', async () => {
    const made = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB }, { mounted: false });
    volume = made;
    await made.mount('-o', 'lazytime');
    const later =
      'echo a > f; echo b > g; sync f g; sleep 0.05; echo c >> f; echo d >> g; sync f; stat -c %y f g';
    const times = await made.shell(later);
    await made.remount();
    expect(await made.shell('stat -c %y f g')).toBe(times);
    await made.unmountAndCheck();
  });
});

describeQuarry('mount(8) with links in /sbin', () => {
  test('mounts by fstab, and remounts by quarry', async () => {
    const made = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB }, { mounted: false });
    volume = made;
    const helper = made.scratch.file('helper');
    const fstab = made.scratch.file('fstab');
    const alias = `${ROOT}/dist/cli/mount-alias.js`;
    writeFileSync(helper, `#!/bin/sh\nexec '${process.execPath}' '${alias}' "$@"\n`, { mode: 0o755 });
    const line = 'noauto,nofail,users,_netdev,x-systemd.automount,commit=9';
    writeFileSync(fstab, `${made.target} ${made.directory} quarry ${line} 0 0\n`);
    // A namespace of its own, where nothing else is in the folder of helpers.
    const result = await runInNamespace(`
      mount -t tmpfs none "$(readlink -f /sbin)"
      cp '${helper}' /sbin/mount.quarry; cp '${helper}' /sbin/mount.fuseblk.quarry
      cd '${made.directory}/..'
      mount -T '${fstab}' mnt; findmnt -n -o VFS-OPTIONS mnt
      mount -T '${fstab}' -o remount,ro mnt; findmnt -n -o VFS-OPTIONS mnt
      '${process.execPath}' '${QUARRY}' info --json '${made.target}' | grep -o '"state": *"[^"]*"'
      mount -o remount,rw,noatime,commit=7 mnt; findmnt -n -o VFS-OPTIONS mnt
      mount -o remount,bogus mnt || echo refused; mount -o remount,cache=8M mnt || echo refused
      umount mnt`);
    const flags = 'nosuid,nodev,noexec';
    expect(result.stdout.split('\n').map((text) => text.trim())).toEqual([
      `rw,${flags},relatime`,
      `ro,${flags},relatime`,
      '"state": "clean"',
      `rw,${flags},noatime`,
      'refused',
      'refused',
      '',
    ]);
    expect(result.stderr).toMatch(
      /^quarry: unknown mount option 'bogus'.*\nquarry: cache=8M cannot be had.*\n$/,
    );
    expect(await quarry('fsck', '-n', made.target)).toMatchObject({ status: 0 });
  });
});
