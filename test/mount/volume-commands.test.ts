/** Volumes that are read and written without a mount, and with one: each finds what the other left. */
import { afterEach, expect, test } from 'vitest';
import { format, openVolume } from '../../src/quarryfs.ts';
import { isMissing } from '../missing.ts';
import { describeQuarry, MIB, quarry, shell, Volume } from './harness.ts';

const FILES = `find . -printf '%P %y %m %U %G %n %s %T@ %l\\n' | grep -v ' d ' | sort`;

describeQuarry('a volume with and without a mount', () => {
  let volume: Volume;
  afterEach(() => volume?.destroy());

  test('is refused to commands and programs while it is mounted, and left alone', async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB });
    await volume.shell('echo by the mount > f');
    for (const target of [volume.target, volume.image]) {
      const words = target === volume.image ? ['put', '/etc/hostname', target] : ['ls', target];
      expect(await quarry(...words)).toMatchObject({
        status: 1,
        stdout: '',
        stderr: expect.stringMatching(/^quarry: [^\n]*mounted on [^\n]*\n$/),
      });
      for (const engine of ['native', 'fs'] as const) {
        await expect(openVolume(target, { engine })).rejects.toMatchObject({ code: 'EBUSY' });
        await expect(openVolume(target, { engine, readOnly: true })).rejects.toMatchObject({ code: 'EBUSY' });
        await expect(format(target, { engine, force: true })).rejects.toMatchObject({ code: 'EBUSY' });
      }
    }
    expect(await volume.shell('cat f')).toBe('by the mount\n');
    await volume.unmountAndCheck();
  });

  test.skipIf(isMissing('getfattr'))(
    'keeps what a program and the commands left, and the other way round',
    async () => {
      volume = await Volume.make({ sizeBytes: 64 * MIB }, { mounted: false });
      const program = await openVolume(volume.image, { uid: 12, gid: 34, umask: 0o022 });
      await program.mkdir('/by-program/deep', { recursive: true });
      await program.writeFile('/by-program/deep/text', 'written by a program\n');
      await program.setxattr('/by-program', 'user.note', 'noted');
      await program.symlink('deep/text', '/by-program/link');
      await program.close();
      expect(await quarry('put', '/etc/default', `${volume.image}:/`)).toMatchObject({ status: 0 });
      await volume.mount();
      expect(await volume.shell('cat by-program/link; stat -c "%u %g %a" by-program/deep')).toBe(
        'written by a program\n12 34 755\n',
      );
      expect(await volume.shell('getfattr --only-values -n user.note by-program')).toBe('noted');
      expect(await volume.shell(`cd default && ${FILES}`)).toBe(await shell(`cd /etc/default && ${FILES}`));
      await volume.shell('diff -r --no-dereference default /etc/default && echo by the mount > f');
      await volume.unmount();
      expect(await quarry('cat', `${volume.image}:/f`)).toMatchObject({
        status: 0,
        stdout: 'by the mount\n',
      });
      const again = await openVolume(volume.image);
      expect(await again.readFile('/f', 'utf8')).toBe('by the mount\n');
      await expect(quarry('mount', volume.image, volume.directory)).resolves.toMatchObject({ status: 1 });
      await again.close();
      await volume.mount();
      await volume.unmountAndCheck();
    },
  );
});
