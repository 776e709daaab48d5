/**
 * The package for Debian: made, installed by dpkg into a system that is a layer over this one, used,
 * and taken away again without a rest.
 */
import { afterEach, expect, test } from 'vitest';
import { isMissing } from '../missing.ts';
import { describeQuarry, ROOT, runInNamespace, Scratch, shell } from './harness.ts';

let scratch: Scratch | undefined;
afterEach(() => scratch?.remove());

describeQuarry('the package', () => {
  // What the package asks for, where it asks for it.
  test.skipIf(isMissing('/usr/bin/node'))(
    'is installed, mounts what mkfs -t quarry has made, and goes without a rest',
    async () => {
      const made = new Scratch();
      scratch = made;
      const file = (await shell(`'${process.execPath}' '${ROOT}/scripts/deb.mjs' '${made.path}'`)).trim();
      const root = made.file('layers');
      const result = await runInNamespace(`
      mkdir '${root}'; mount -t tmpfs none '${root}'; mkdir '${root}/upper' '${root}/work' '${root}/all'
      mount -t overlay none -o 'lowerdir=/,upperdir=${root}/upper,workdir=${root}/work' '${root}/all'
      for at in proc sys dev; do mount --rbind /$at '${root}/all/'$at; done
      mount -t tmpfs none '${root}/all/tmp'
      rm -f '${root}'/all/usr/sbin/*quarry* '${root}'/all/usr/local/bin/quarry
      cp '${file}' '${root}/all/tmp/quarryfs.deb'
      chroot '${root}/all' bash -euc '
        cd /tmp
        dpkg -i --force-depends quarryfs.deb > /dev/null
        truncate -s 64M v.img; mkfs -t quarry -q v.img; mkdir m
        mount -t quarry /tmp/v.img /tmp/m; echo text > m/file; cat m/file; umount m
        fsck.quarry -n v.img
        [ -f /usr/share/man/man8/quarry-fsck.8 ]; dpkg -V quarryfs
        dpkg -r quarryfs > /dev/null 2>&1
        find /usr/bin /usr/sbin /usr/lib /usr/share -name "*quarry*"'`);
      expect(result).toMatchObject({
        status: 0,
        stdout: 'text\n/tmp/v.img: clean; 2 inodes (1 files, 1 directories), 23/16384 blocks\n',
      });
    },
  );
});
