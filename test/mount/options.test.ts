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
  run,
  runInNamespace,
  SYSTEM,
  shell,
  until,
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

describeQuarry('-o loop', () => {
  /** Loop devices over the image. */
  const loops = (made: Volume) => shell(`losetup -n -O NAME,AUTOCLEAR,DIO -j '${made.image}'`);
  const mountLoop = (made: Volume, ...more: string[]) =>
    run('env', [
      `PATH=${made.directory}:${process.env.PATH}`,
      ...[process.execPath, QUARRY, 'mount', '-o', ['loop', ...more].join(), made.image, made.directory],
    ]);

  test('the image is mounted by a device of its own, which the kernel syncs, and which goes with it', async () => {
    const made = await Volume.make({ kind: 'image', sizeBytes: 64 * MIB }, { mounted: false });
    volume = made;
    expect(await mountLoop(made, 'commit=3600')).toMatchObject({ status: 0, stderr: '' });
    expect(await made.shell('findmnt -n -o FSTYPE,SOURCE .')).toMatch(/^fuseblk.quarry +\/dev\/loop\d+\n$/);
    expect(await loops(made)).toMatch(/^\/dev\/loop\d+ +1 +1\n$/);
    await made.shell('echo text > file');
    const commits = async () =>
      JSON.parse((await quarry('stat', '--json', made.directory)).stdout).volume.commits;
    const before = await commits();
    await made.shell('sync -f .');
    expect(await commits()).toBeGreaterThan(before);
    expect((await mountLoop(made)).stderr).toMatch(/^quarry: .* is in use.*\n$/);
    expect(await quarry('resize', made.image, '100M')).toMatchObject({ status: 0 });
    expect(await made.shell(`stat -c %s '${made.image}'; cat file`)).toBe(`${100 * MIB}\ntext\n`);
    // The file that is mounted grows, whatever has its name by now; programs that the daemon asks for
    // that are not looked for in its own mount.
    await shell(`mv '${made.image}' '${made.image}.moved'; echo other > '${made.image}'`);
    expect(await quarry('resize', made.directory, '120M')).toMatchObject({ status: 0 });
    const sizes = `stat -c %s '${made.image}.moved'; cat '${made.image}'; mv '${made.image}.moved' '${made.image}'`;
    expect(await shell(sizes)).toBe(`${120 * MIB}\nother\n`);
    await shell(`umount '${made.directory}'`);
    expect(await quarry('fsck', '-n', made.image)).toMatchObject({ status: 0 });
    await until('the end of the device', 10_000, async () => (await loops(made)) === '');

    // Read-only, and then not; and with a daemon that is killed.
    expect(await mountLoop(made, 'ro')).toMatchObject({ status: 0, stderr: '' });
    expect(await remount('rw', made.directory)).toBe('');
    await made.shell('echo more >> file; sync file');
    const { pid } = JSON.parse((await quarry('stat', '--json', made.directory)).stdout);
    process.kill(pid, 'SIGKILL');
    expect(await quarry('umount', made.directory)).toMatchObject({ status: 0 });
    await until('the end of the device', 10_000, async () => (await loops(made)) === '');
    expect(await mountLoop(made)).toMatchObject({ status: 0 });
    expect(await made.shell('cat file')).toBe('text\nmore\n');
    expect(await quarry('umount', made.image)).toMatchObject({ status: 0, stderr: '' });
    expect(await loops(made)).toBe('');
  });

  test('leaves none behind when the volume cannot be mounted', async () => {
    const made = await Volume.make({ kind: 'image', sizeBytes: 64 * MIB }, { mounted: false });
    volume = made;
    await shell(`dd if=/dev/zero of='${made.image}' bs=4096 seek=1 count=8000 conv=notrunc status=none`);
    const failed = await mountLoop(made);
    expect(failed.status).not.toBe(0);
    expect(failed.stderr).toMatch(/^quarry: [^\n]*\n$/);
    expect(await loops(made)).toBe('');
  });
});

describeQuarry('reserved', () => {
  test('users are told that the volume is full, root goes on, and a remount gives it back', async () => {
    const made = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
    volume = made;
    await quarry('tune', '-o', 'reserved=25%', made.target);
    await made.mount();
    const fillAs = (uid: number, name: string) =>
      made.shell(
        `chmod 777 .; setpriv --reuid ${uid} --regid ${uid} --clear-groups dd if=/dev/zero of=${name} bs=1M count=100 conv=fsync 2>/dev/null || stat -c %s ${name}`,
      );
    expect(Number(await fillAs(1001, 'user')) / MIB).toBeCloseTo(47, 0);
    expect(await made.shell('df --output=avail . | tail -1 | tr -d " "')).toMatch(/^\d{1,3}\n$/);
    expect(await made.shell('echo tiny | setpriv --reuid 1001 tee tiny')).toBe('tiny\n');
    expect(Number(await fillAs(0, 'root')) / MIB).toBeCloseTo(15, 0);
    await made.shell('rm root');
    await remount('reserved=0', made.directory);
    expect(Number(await fillAs(1001, 'more')) / MIB).toBeCloseTo(15, 0);
    await made.unmountAndCheck();
  });
});
