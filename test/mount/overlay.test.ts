/**
 * overlayfs with its upper layer on a real mount: what it needs of it are attributes of `trusted.`,
 * types in listings, files made without a name, and whiteouts that come with a rename.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeMount, MIB, namespaceArguments, run, type TargetKind, Volume } from './harness.ts';

describeMount.each<TargetKind>(['loop', 'image'])('an overlay over a volume on %s', (kind) => {
  let volume: Volume;
  beforeAll(async () => {
    volume = await Volume.make({ kind, sizeBytes: 64 * MIB });
  });
  afterAll(() => volume?.destroy());

  /** In a mount namespace of its own, which takes the overlay with it. */
  async function withOverlay(script: string): Promise<string> {
    const { path } = volume.scratch;
    const mount = `cd '${path}'
mkdir -p lower/folder lower/moved upper merged mnt/upper mnt/work
echo low > lower/file; echo two > lower/folder/inner; echo three > lower/moved/inner
mount -t overlay overlay -o lowerdir=lower,upperdir=mnt/upper,workdir=mnt/work merged
cd merged
${script}`;
    const { status, stdout, stderr } = await run('unshare', namespaceArguments(mount, volume.directory));
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return stdout;
  }

  test('hides, copies up and keeps what is changed', async () => {
    const changed = await withOverlay(`
echo more >> file; echo new > made; rm folder/inner; mv file renamed
rm -r folder; mkdir folder; mv moved elsewhere; ln made linked
find . | sort; cat renamed elsewhere/inner`);
    const names = ['.', './elsewhere', './elsewhere/inner', './folder', './linked', './made', './renamed'];
    expect(changed.split('\n')).toEqual([...names, 'low', 'more', 'three', '']);
    // Whiteouts are devices 0:0, and the new directory says that it hides the old one.
    expect(await volume.shell('cd upper; stat -c "%n %F %t:%T" file moved')).toBe(
      'file character special file 0:0\nmoved character special file 0:0\n',
    );
    await volume.remount();
    expect(await withOverlay('find . | sort; cat renamed elsewhere/inner')).toBe(changed);
  });
});
