/**
 * The laboratory on mounts: our policies and ext4 through the same operations, and what others have
 * published of ext4 has to come out.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { type Filesystem, kernelFilesystem, type MountedPlace } from '../../src/lab/mounts/filesystems.ts';
import { type MountedPlan, runMounted } from '../../src/lab/mounts/mount-runner.ts';
import type { RunSample } from '../../src/lab/runners/ageing-run.ts';
import { WORKLOADS } from '../../src/lab/workloads/catalogue.ts';
import { describeQuarry, QUARRY, quarry, run, Scratch, shell, until } from './harness.ts';

interface Results {
  readonly failed: readonly unknown[];
  readonly runs: readonly { readonly policy: string; readonly samples: readonly RunSample[] }[];
}

/** Many times what it takes when nothing else runs. */
const RUN_LIMIT_MS = 300_000;

const WATCHER = { progress: () => {}, isStopped: () => false };

describeQuarry('quarry lab run --runner mount', () => {
  const scratch = new Scratch();
  afterAll(() => scratch.remove());

  async function results(name: string, ...words: string[]): Promise<Results> {
    const out = scratch.file(name);
    const common = ['--runner', 'mount', '--seeds', '1', '--scratch', scratch.path, '--out', out];
    const all = [QUARRY, 'lab', 'run', ...common, ...words];
    const { status, stderr } = await run(process.execPath, all, { limitMs: RUN_LIMIT_MS });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return JSON.parse(readFileSync(`${out}/results.json`, 'utf8')) as Results;
  }

  const lastOf = ({ runs }: Results, policy: string) =>
    runs.find((one) => one.policy === policy)?.samples.at(-1) ?? expect.fail(`no run of ${policy}`);

  /** Nothing that was mounted is mounted still, and no disk is left. */
  async function expectNothingLeft(): Promise<void> {
    expect(readdirSync(scratch.path).filter((name) => name.startsWith('quarry-lab-'))).toEqual([]);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(scratch.path);
    expect(await shell('losetup --list --noheadings --output BACK-FILE')).not.toContain(scratch.path);
  }

  const smallPlan = (filesystem: Filesystem): MountedPlan => ({
    filesystem,
    scratchDirectory: scratch.path,
    workload: WORKLOADS.get('video') ?? expect.fail(),
    ...{ sizeBytes: 64 * 2 ** 20, blockBytes: 4096, seed: 1, fullness: 0.8, churn: 0.1, samples: 1 },
  });

  test(
    'feeds a policy with options, a module and ext4 the same operations, and measures each',
    async () => {
      await shell(`cd '${scratch.path}' && '${process.execPath}' '${QUARRY}' lab new mine --js`);
      const mine = scratch.file('mine.js');
      const policies = ['ffs-groups?realloc=on', mine, 'ext4'];
      const found = await results(
        'three',
        ...['--policies', policies.join(','), '--workloads', 'web', '--size', '64M'],
        ...['--churn', '0.5', '--samples', '2'],
      );
      expect(found.failed).toEqual([]);
      expect(found.runs.map(({ policy }) => policy)).toEqual(policies);
      for (const { policy, samples } of found.runs) {
        expect(samples).toHaveLength(3);
        const last = samples.at(-1);
        expect(last?.layout.files, policy).toBeGreaterThan(100);
        expect(last?.layout.layoutScore, policy).toBeGreaterThan(0.3);
        expect(last?.fullness, policy).toBeGreaterThan(0.6);
        expect(last?.refusedOperations, policy).toBe(0);
        expect(last?.besideCopy?.measuredSlowdown, policy).toBeGreaterThan(0);
        expect(samples[0]?.besideCopy, policy).toBeUndefined();
      }
      const operations = found.runs.map(({ samples }) => samples.map((sample) => sample.operations));
      expect(operations).toEqual(Array(3).fill(operations[0]));
      expect(lastOf(found, mine).metadataBlocksWritten).toBeGreaterThan(0);
      expect(lastOf(found, mine).free?.freeBlocks).toBeGreaterThan(0);
      await expectNothingLeft();
    },
    RUN_LIMIT_MS,
  );

  test(
    'a signal ends it, takes the mounts away, and --resume goes on',
    async () => {
      const words = [
        '--policies',
        'first-fit,next-fit,best-fit',
        '--workloads',
        'video',
        '--size',
        '64M',
        '--churn',
        '0.2',
      ];
      const out = scratch.file('stopped');
      const all = [
        'lab',
        'run',
        '--runner',
        'mount',
        '--seeds',
        '1',
        '--samples',
        '1',
        '--scratch',
        scratch.path,
      ];
      const child = spawn(process.execPath, [QUARRY, ...all, ...words, '--out', out], { stdio: 'ignore' });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      await until(
        'a run is done',
        120_000,
        () => existsSync(`${out}/runs`) && readdirSync(`${out}/runs`).length > 0,
      );
      child.kill('SIGINT');
      expect(await ended).toBe(1);
      await expectNothingLeft();
      const first = `${out}/runs/first-fit-video-1.json`;
      const before = readFileSync(first, 'utf8');
      const { status } = await quarry(...all, ...words, '--out', out, '--resume');
      expect(status).toBe(0);
      expect(readFileSync(first, 'utf8')).toBe(before);
      expect(readdirSync(`${out}/runs`)).toHaveLength(3);
      await expectNothingLeft();
    },
    RUN_LIMIT_MS,
  );

  test.each(['make', 'mount'] as const)(
    'an aged run is kept where %s fails behind it',
    async (step) => {
      const ext4 = kernelFilesystem('ext4');
      let calls = 0;
      const filesystem = {
        ...ext4,
        [step]: (device: string, place: string & number) => {
          if (++calls === 2) throw new Error('the second time fails');
          ext4[step](device, place);
        },
      };
      const { samples, remark } = await runMounted(smallPlan(filesystem), WATCHER);
      expect(remark).toBe('not compared with a copy: the second time fails');
      expect(samples).toHaveLength(2);
      expect(samples.at(-1)?.besideCopy).toBeUndefined();
      await expectNothingLeft();
    },
    120_000,
  );

  test('why a run failed is told, not that its mount was gone', async () => {
    const ext4 = kernelFilesystem('ext4');
    const filesystem = {
      ...ext4,
      maps: async ({ directory }: MountedPlace) => {
        ext4.unmount(directory);
        throw new Error('the reason');
      },
    };
    await expect(runMounted(smallPlan(filesystem), WATCHER)).rejects.toThrow('the reason');
    await expectNothingLeft();
  });

  test('a directory that takes no results ends all of it, and no mount is left', async () => {
    const out = scratch.file('taken');
    await shell(`mkdir '${out}' && touch '${out}/details'`);
    const small = [
      '--workloads',
      'video',
      '--size',
      '64M',
      '--churn',
      '0.1',
      '--samples',
      '1',
      '--seeds',
      '1',
    ];
    const { status, stderr } = await quarry(
      ...['lab', 'run', '--runner', 'mount', '--threads', '2', '--policies', 'first-fit,next-fit'],
      ...[...small, '--scratch', scratch.path, '--out', out],
    );
    expect(stderr).toMatch(/^quarry: [^\n]*details'\n$/);
    expect(status).toBe(1);
    await expectNothingLeft();
  });

  test('what cannot be had is one line, and nothing is made', async () => {
    const base = ['lab', 'run', '--workloads', 'mail', '--size', '64M', '--out', scratch.file('none')];
    const refused = async (...words: string[]) => {
      const { status, stdout, stderr } = await quarry(...base, ...words);
      expect(stdout).toBe('');
      expect(existsSync(scratch.file('none'))).toBe(false);
      return { status, stderr };
    };
    expect(await refused('--policies', 'ext4')).toEqual({
      status: 2,
      stderr: 'quarry: ext4 is a filesystem of the kernel and can only be mounted: use --runner mount\n',
    });
    expect((await refused('--runner', 'disk')).stderr).toBe(
      'quarry: --runner disk is unknown: use model or mount\n',
    );
    const nobody = [
      'setpriv',
      '--reuid',
      '65534',
      '--regid',
      '65534',
      '--clear-groups',
      process.execPath,
      QUARRY,
    ];
    const { status, stderr } = await run('env', [...nobody, ...base, '--runner', 'mount']);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: 'quarry: --runner mount makes loop devices and mounts: run it as root\n',
    });
    await expectNothingLeft();
  });

  test('a disk for which there is no room is a run that failed, in words', async () => {
    const { status, stderr } = await quarry(
      ...[
        'lab',
        'run',
        '--runner',
        'mount',
        '--policies',
        'first-fit',
        '--workloads',
        'mail',
        '--size',
        '16T',
      ],
      ...['--seeds', '1', '--scratch', scratch.path, '--out', scratch.file('full')],
    );
    expect(status).toBe(1);
    expect(stderr).toContain(
      'first-fit on mail, seed 1: there is no room for a disk and a copy, together of ',
    );
    await expectNothingLeft();
  });

  test(
    'ext4 aged by git pulls (Conway and others, FAST 2017, HotStorage 2019)',
    async () => {
      const words = ['--policies', 'ext4', '--workloads', 'git', '--samples', '1'];
      const full = lastOf(await results('full-ext4', ...words, '--size', '256M', '--churn', '4'), 'ext4');
      // Twice and more as slow as a fresh copy, by the model of a disk.
      expect(full.layout.meanExtents).toBeGreaterThan(1.5);
      expect(full.besideCopy?.diskSlowdown).toBeGreaterThan(2);
      // The same operations on a volume that stays nearly empty: it is the use that ages, more than
      // the fullness.
      const roomy = lastOf(
        await results('roomy-ext4', ...words, '--size', '1G', '--fullness', '0.2', '--churn', '1'),
        'ext4',
      );
      expect(roomy.operations / full.operations).toBeGreaterThan(0.9);
      expect(roomy.operations / full.operations).toBeLessThan(1.1);
      const ofFullness = (full.besideCopy?.diskSlowdown ?? 0) / (roomy.besideCopy?.diskSlowdown ?? 1);
      expect(roomy.besideCopy?.diskSlowdown).toBeGreaterThan(1.7);
      expect(ofFullness).toBeLessThan(1.6);
    },
    RUN_LIMIT_MS,
  );
});
