/**
 * `quarry quota` on images that are not mounted, and what a daemon makes of its questions: whoever
 * is not root sees his own, and sets nothing.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { AccountNames } from '../../src/cli/account-names.ts';
import { answerQuota, readQuotaPart, readQuotaQuestion } from '../../src/cli/quota-questions.ts';
import { graceText } from '../../src/cli/quota-report-command.ts';
import { parseGrace } from '../../src/cli/quota-set-command.ts';
import { defaultFeatures } from '../../src/fs/format/features.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { runHere } from '../suite/command-line.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';

const directory = mkdtempSync(join(tmpdir(), 'quarry-quota-'));
const image = join(directory, 'volume.img');

afterAll(() => rmSync(directory, { recursive: true }));

async function quota(...words: string[]): Promise<string> {
  const { status, out, err } = await runHere('quota', ...words);
  expect([status, err]).toEqual([0, expect.any(String)]);
  return out;
}

async function refusal(status: number, ...words: string[]): Promise<string> {
  const before = readFileSync(image);
  const result = await runHere('quota', ...words);
  expect(result).toMatchObject({ status, out: '' });
  expect(result.err).toMatch(/^quarry: [^\n]+\n$/);
  expect(readFileSync(image).equals(before)).toBe(true);
  return result.err;
}

describe('an image', () => {
  beforeEach(async () => {
    expect(await runHere('mkfs', '--force', '-q', '--size', '8M', image)).toMatchObject({ status: 0 });
  });

  test('counts when it is told to, and has limits that stay', async () => {
    expect(await refusal(1, 'report', image)).toMatch(/no quotas are counted: 'quarry quota on'/);
    expect(await refusal(1, 'set', image, '--user', '7', '--block-hard', '1M')).toMatch(/no quotas of users/);
    await quota('on', image, '--user', '--project');
    await quota('set', image, '--user', '4000', '--block-soft', '1M', '--block-hard', '2000001');
    await quota('set', image, '--user', '4000', '--inode-hard', '10');
    await quota('grace', image, '--user', '--block', '36h');
    const report = JSON.parse(await quota('report', image, '--user', '--json'));
    expect(report.quotas).toHaveLength(1);
    expect(report.quotas[0]).toMatchObject({ kind: 'user', blockSeconds: 129_600, inodeSeconds: 604_800 });
    expect(report.quotas[0].lines).toEqual([
      expect.objectContaining({ id: 0, name: 'root', inodes: 1, hardBytes: 0 }),
      {
        id: 4000,
        name: null,
        bytes: 0,
        softBytes: 1_048_576,
        hardBytes: 2_002_944,
        blockDeadline: 0,
        inodes: 0,
        softInodes: 0,
        hardInodes: 10,
        inodeDeadline: 0,
      },
    ]);
    expect(await quota('report', image)).toMatch(/^users: 36 hours of grace.* #4000 .*projects:/s);
    expect(await refusal(1, 'report', image, '--group')).toMatch(/no quotas of groups are counted/);
    expect((await runHere('fsck', '-n', image)).status).toBe(0);
    await quota('off', image);
    expect(await refusal(1, 'report', image)).toMatch(/no quotas are counted/);
    expect((await runHere('info', image)).out).toMatch(/^features: +attributes, unwritten$/m);
  });

  test('is made with them by mkfs -O quota', async () => {
    expect(await runHere('mkfs', '--force', '-q', '-O', 'quota', image)).toMatchObject({ status: 0 });
    expect(await quota('report', image)).toMatch(/users:.*groups:.*projects:/s);
    expect((await runHere('info', image)).out).toMatch(/features:.*quota/);
    expect((await runHere('dump', image, 'quotas')).out).toMatch(
      /tree: +root in block \d+\ncounted: +users, groups, projects\n\nuser 0: blocks 0, inodes 1\ngroup 0: /,
    );
  });

  test.each([
    ['set', image, '--user', '1'],
    ['set', image, '--block-hard', '1M'],
    ['set', image, '--user', '1', '--group', '1', '--block-hard', '1M'],
    ['set', image, '--user', 'nobody of this name', '--block-hard', '1M'],
    ['set', image, '--user', '4294967295', '--block-hard', '1M'],
    ['set', image, '--user', '1', '--block-hard', 'much'],
    ['set', image, '--user', '1', '--block-soft', '2M', '--block-hard', '1M'],
    ['set', image, '--user', '1', '--inode-hard', '-1'],
    ['set', image, '--user', '1', '--inode-hard', '1K'],
    ['grace', image, '--user'],
    ['grace', image, '--block', '1d'],
    ['grace', image, '--user', '--block', '1y'],
    ['report', image, 'more'],
  ])('%s is refused in one line: %s %s %s %s', async (...words) => {
    await quota('on', image);
    await refusal(2, ...words);
  });

  test('user 0 and what is no volume are refused', async () => {
    await quota('on', image);
    expect(await refusal(2, 'set', image, '--user', '0', '--block-hard', '1M')).toMatch(/nobody is limited/);
    await runHere('mkfs', '--force', '-q', '--size', '8M', image);
    expect((await runHere('quota', 'on', directory)).status).toBe(1);
    expect((await runHere('quota', 'on', join(directory, 'none'))).err).toMatch(/does not exist/);
  });
});

test('times and names are read as people write them', () => {
  expect(['90', '90s', '2m', '3h', '7d', '1w', '0'].map((text) => parseGrace(text, '--block'))).toEqual([
    90, 90, 120, 10_800, 604_800, 604_800, 0,
  ]);
  expect(() => parseGrace('8000w', '--block')).toThrow(/--block 8000w is not a time/);
  expect([graceText(0, 5), graceText(5, 5), graceText(200_000, 5)]).toEqual(['-', 'over', '2 days']);
  const names = new AccountNames(
    'user',
    'root:x:0:0::/:/bin/sh\n# no:x:9:\nada:x:1815:0:\nada:x:7:\nbad:x:y\n',
  );
  expect([names.idOf('ada'), names.idOf('12'), names.nameOf(1815), names.nameOf(7)]).toEqual([
    1815,
    12,
    'ada',
    'ada',
  ]);
  expect(() => names.idOf('bad')).toThrow(/knows no such user/);
  const projects = new AccountNames('project', 'web:42\n');
  expect([projects.idOf('web'), projects.nameOf(42)]).toEqual([42, 'web']);
});

describe('a daemon', () => {
  async function volumeOf(count: number): Promise<TestVolume> {
    const device = new MemoryDevice(16 * 1024 * 1024);
    await formatted(device, 4096, undefined, undefined, defaultFeatures().add('quota'));
    const subject = await TestVolume.open(device);
    for (let i = 0; i < count; i++) {
      subject.caller = { uid: 1000 + i, gid: 2000 + i, umask: 0 };
      await subject.create(`/${i}`);
    }
    return subject;
  }

  test('tells an ordinary user his own, and takes no limits of him', async () => {
    const { volume } = await volumeOf(5);
    const reader = { uid: 1001, groups: [2003, 2001, 7] };
    const users = readQuotaPart(await answerQuota(volume, { do: 'report', kind: 'user', fromId: 0 }, reader));
    expect(users.lines.map(({ id }) => id)).toEqual([1001]);
    expect(users.next).toBe(null);
    const groups = readQuotaPart(
      await answerQuota(volume, { do: 'report', kind: 'group', fromId: 0 }, reader),
    );
    expect(groups.lines.map(({ id }) => id)).toEqual([2001, 2003]);
    const ask = (question: object) =>
      answerQuota(volume, readQuotaQuestion(JSON.stringify(question)), reader);
    await expect(ask({ do: 'report', kind: 'project', fromId: 0 })).rejects.toThrow(/only root/);
    await expect(ask({ do: 'set', kind: 'user', id: 1001, limits: { hardBytes: 9 } })).rejects.toThrow(
      /only root/,
    );
    await expect(ask({ do: 'grace', kind: 'user', grace: { blockSeconds: 9 } })).rejects.toThrow(/only root/);
    await volume.unmount();
  });

  test('tells of more than one answer holds in several', async () => {
    const { volume } = await volumeOf(1100);
    const ids: number[] = [];
    let parts = 0;
    for (let fromId: number | null = 0; fromId !== null; parts++) {
      const part = readQuotaPart(
        await answerQuota(volume, { do: 'report', kind: 'user', fromId }, undefined),
      );
      ids.push(...part.lines.map(({ id }) => id));
      fromId = part.next;
    }
    expect([parts, ids.length, ids[1], ids[1100]]).toEqual([3, 1101, 1000, 2099]);
    await volume.unmount();
  });

  test.each([
    '{}',
    '7',
    '{"do":"set","kind":"user","id":-1,"limits":{}}',
    '{"do":"set","kind":"user","id":4294967295,"limits":{}}',
    '{"do":"set","kind":"user","id":1,"limits":{"hardBytes":"9"}}',
    '{"do":"set","kind":"user","id":1,"limits":{"softInodes":1e300}}',
    '{"do":"set","kind":"everybody","id":1,"limits":{}}',
    '{"do":"grace","kind":"user","grace":{"blockSeconds":4294967296}}',
    '{"do":"report","kind":"user","fromId":-5}',
  ])('takes %s for no question', (payload) => {
    expect(() => readQuotaQuestion(payload)).toThrow(/no question about quotas/);
  });
});
