/**
 * Images and mountpoints whose path is not UTF-8: every command reaches them, and nothing is made
 * under another name.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeQuarry, MIB, QUARRY, shell, shellResult, Volume } from './harness.ts';

describeQuarry('paths that are not UTF-8', () => {
  let volume: Volume;
  /** Before each script: the command, and names in the shell's own notation. */
  let names: string;
  beforeEach(async () => {
    volume = await Volume.make({ sizeBytes: 8 * MIB }, { mounted: false });
    names = String.raw`cd '${volume.scratch.path}'
      quarry() { '${process.execPath}' '${QUARRY}' "$@"; }
      place=$'pl\xffce \xc3'; image=$'im\xfe.img'; point=$'m\xfdt'; `;
    await shell(`${names} mkdir "$place" "$place/$point"`);
  });
  afterEach(async () => {
    await shellResult(
      `${names} umount "$place/$point"; for loop in $(losetup -n -O NAME -j "$place/$image"); do losetup -d $loop; done`,
    );
    await volume?.destroy();
  });

  test('by absolute and relative names, from a directory that is not either', async () => {
    const said = await shell(`${names}
      quarry mkfs -q --size 8M "$PWD/$place/$image"
      cd "$place"
      quarry info "$image" > /dev/null; quarry fsck -y "$image" > /dev/null; quarry dump "$image" space > /dev/null
      quarry mount "$image" "$point"
      echo kept > "$point/$image"
      quarry stat --json "$point" | grep -c pid
      ! quarry mkfs --force "$image" 2>> said; ! quarry fsck -y "$image" 2>> said; ! quarry mount "$image" "$point" 2>> said
      grep -c 'mounted on' said
      quarry umount "$image"
      ln -s "$PWD/$image" ../link; quarry mount ../link "../$place/$point"
      cat "$point/$image"
      quarry umount "$point"
      quarry fsck -n ../link > /dev/null
      rm said; cd ..; find . -mindepth 1 -not -name volume.img -not -name mnt | LC_ALL=C sort | base64 -w0`);
    const [stat, refusals, kept, files = ''] = said.split('\n');
    expect([stat, refusals, kept]).toEqual(['1', '3', 'kept']);
    expect(Buffer.from(files, 'base64').toString('latin1').trim().split('\n')).toEqual([
      './link',
      './pl\xffce \xc3',
      './pl\xffce \xc3/im\xfe.img',
      './pl\xffce \xc3/m\xfdt',
    ]);
  });

  test('a source that would steer the terminal is named without that', async () => {
    const source = String.raw`$'a\e[31mb\nquarry: c'`;
    const said = await shell(`${names}
      quarry mkfs -q --size 8M "$place/$image"
      quarry mount -o fsname=${source} "$place/$image" "$place/$point"
      pid=$(quarry stat --json "$place/$point" | grep -o '"pid": [0-9]*' | grep -o '[0-9]*')
      kill -9 $pid; while test -d /proc/$pid; do sleep 0.01; done
      quarry umount "$place/$point" 2>&1`);
    expect(said).toMatch(/^quarry: the daemon of [^\n]* had died[^\n]*\n$/);
    expect(said).not.toContain('\x1b');
  });

  test('behind a loop device', async () => {
    const said = await shell(`${names}
      quarry mkfs -q --size 8M "$place/$image"
      loop=$(losetup --find --show "$place/$image")
      quarry mount $loop "$place/$point"
      ! quarry mkfs --force "$place/$image" 2>&1
      umount "$place/$point"; quarry mkfs -q --force "$place/$image"; losetup --detach $loop`);
    expect(said).toMatch(/^quarry: [^\n]* mounted on [^\n]*\n$/);
  });
});
