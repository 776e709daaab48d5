/**
 * Quotas on a real mount: another user meets EDQUOT where he would meet ENOSPC on a full disk, root
 * does not, and `quarry quota` tells and sets while it is mounted.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeQuarry, MIB, QUARRY, quarry, Volume } from './harness.ts';

const SOMEBODY = 'setpriv --reuid=1717 --regid=1717 --clear-groups';

describeQuarry('quotas', () => {
  let volume: Volume;

  async function quota(...words: string[]): Promise<string> {
    const { status, stdout, stderr } = await quarry('quota', ...words);
    expect([status, stderr]).toEqual([0, '']);
    return stdout;
  }

  const linesOf = async (kind: string) =>
    JSON.parse(await quota('report', volume.directory, `--${kind}`, '--json')).quotas[0].lines;

  beforeAll(async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB });
    await volume.unmount();
    expect((await quarry('quota', 'on', volume.target)).status).toBe(0);
    await volume.mount('-o', 'usrquota,grpquota,prjquota');
    await volume.shell('mkdir own && chown 1717:1717 own');
    const limits = ['--block-soft', '1M', '--block-hard', '2M', '--inode-hard', '6'];
    await quota('set', volume.directory, '--user', '1717', ...limits);
  });
  afterAll(() => volume?.destroy());

  test('stop what a user writes, at the latest when it is synced', async () => {
    const dd = (words: string) => volume.shellResult(`cd own && ${SOMEBODY} dd if=/dev/zero ${words}`);
    for (const words of ['of=a bs=1M count=4 conv=fsync', 'of=b bs=512K count=6 oflag=direct']) {
      const { status, stderr } = await dd(words);
      expect(stderr).toContain('Disk quota exceeded');
      expect(status).not.toBe(0);
    }
    expect(Number(await volume.shell('du -sk own | cut -f 1'))).toBeLessThanOrEqual(2048);
    expect((await volume.shellResult(`cd own && ${SOMEBODY} fallocate -l 3M c`)).stderr).toContain('quota');
    await volume.shell(
      `cd own && ${SOMEBODY} sh -c 'rm a b c && dd if=/dev/zero of=a bs=1M count=1 conv=fsync'`,
    );
  });

  test('hold where space is scarce too, and write(2) says so', async () => {
    await volume.shell('fallocate -l 46M filler');
    await volume.shell(`cd own && ${SOMEBODY} sh -c 'echo x > b && sync b'`);
    const { stderr } = await volume.shellResult(`cd own && ${SOMEBODY} dd if=/dev/zero of=b bs=64K count=60`);
    expect(stderr).toContain("error writing 'b': Disk quota exceeded");
    const [line] = (await linesOf('user')).filter(({ id }: { id: number }) => id === 1717);
    expect(line.bytes).toBeLessThanOrEqual(2 * MIB);
    await volume.shell(`rm filler; cd own && rm b`);
  });

  test('stop what a user makes; root goes on', async () => {
    const { stderr } = await volume.shellResult(`cd own && ${SOMEBODY} touch 1 2 3 4 5 6`);
    expect(stderr).toMatch(/'5': Disk quota exceeded\n.*'6': Disk quota exceeded/s);
    expect((await volume.shellResult(`cd own && ${SOMEBODY} mkdir d`)).stderr).toContain('quota');
    await volume.shell('cd own && touch 5 6 && chown 1717 5 6 && rm 5 6');
    await volume.shell(`cd own && ${SOMEBODY} mv 4 moved && rm moved`);
  });

  test('are told while it is mounted, to a user only his own', async () => {
    const all = await linesOf('user');
    expect(all.map(({ id }: { id: number }) => id)).toEqual([0, 1717]);
    expect(all[1]).toMatchObject({ bytes: MIB, hardBytes: 2 * MIB, inodes: 5, hardInodes: 6 });
    const words = `quota report ${volume.directory} --user --json`;
    const own = JSON.parse(await volume.shell(`${SOMEBODY} ${process.execPath} ${QUARRY} ${words}`));
    expect(own.quotas[0].lines).toHaveLength(1);
    const { status, stderr } = await volume.shellResult(
      `${SOMEBODY} ${process.execPath} ${QUARRY} quota set ${volume.directory} --user 1717 --block-hard 9M`,
    );
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^quarry: only root [^\n]+\n$/)]);
  });

  test('of a project are the size of its directory', async () => {
    await volume.shell('mkdir p && chattr -p 42 p && chattr +P p && mkdir p/below && touch elsewhere');
    await quota('set', volume.directory, '--project', '42', '--block-hard', '8M', '--inode-hard', '50');
    expect((await volume.shell('df -k --output=size p/below | tail -1')).trim()).toBe('8192');
    expect((await volume.shellResult('dd if=/dev/zero of=p/f bs=1M count=9 conv=fsync')).stderr).toContain(
      'quota',
    );
    expect(await linesOf('project')).toEqual([expect.objectContaining({ id: 42, inodes: 3 })]);
    const { stderr } = await volume.shellResult('ln elsewhere p/link');
    expect(stderr).toContain('Invalid cross-device link');
    // mv(1) copies then, and the copy is of the project.
    await volume.shell('mv elsewhere p/moved && lsattr -p p/moved | grep -q "^ *42 "');
  });

  test('hold again or not by a remount, and the volume is sound', async () => {
    expect((await quarry('mount', '-o', 'remount,noquota', volume.directory)).status).toBe(0);
    await volume.shell(`cd own && ${SOMEBODY} dd if=/dev/zero of=more bs=1M count=4 conv=fsync`);
    expect((await quarry('mount', '-o', 'remount,quota', volume.directory)).status).toBe(0);
    expect(
      (await volume.shellResult(`cd own && ${SOMEBODY} sh -c 'rm more; echo x > y; sync y'`)).status,
    ).toBe(0);
    expect((await volume.shellResult(`cd own && ${SOMEBODY} touch z`)).stderr).toContain('quota');
    await volume.unmountAndCheck();
  });
});
