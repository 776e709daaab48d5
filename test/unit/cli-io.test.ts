/**
 * `quarry io`: its command line, its arithmetic, what it refuses to overwrite, and a short run of
 * each kind.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openFile } from '../../src/aio/file/open-file.ts';
import type { OptionValues, Terminal } from '../../src/cli/command.ts';
import { UsageError } from '../../src/cli/failure.ts';
import { ioRequest } from '../../src/cli/io-command.ts';
import { WORKLOADS } from '../../src/cli/io-measurement.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import { LatencyHistogram } from '../../src/common/latency-histogram.ts';
import {
  ENGINES,
  IS_ROOT,
  makeLoopDevice,
  pattern,
  temporaryFile,
  temporaryFolder,
  undoAfterAll,
} from '../suite/aio-conformance-targets.ts';

const MIB = 1024 * 1024;

undoAfterAll();

async function io(words: readonly string[], interactive = false) {
  const said = { out: '', err: '' };
  const terminal: Terminal = {
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    interactive,
  };
  return { status: await runCommandLine(['io', ...words], terminal), ...said };
}

async function expectRefusal(words: readonly string[], status: number, says: RegExp): Promise<void> {
  const refused = await io(words);
  expect(refused, words.join(' ')).toMatchObject({ status, out: '' });
  expect(refused.err).toMatch(/^quarry: [^\n]+\n$/);
  expect(refused.err).toMatch(says);
}

describe('the histogram', () => {
  test('nothing', () => {
    const empty = new LatencyHistogram();
    expect([empty.count, empty.meanNanoseconds, empty.maxNanoseconds, empty.percentile(0.5)]).toEqual([
      0, 0, 0, 0,
    ]);
  });

  test('percentiles are those of the numbers, within 3 percent', () => {
    const histogram = new LatencyHistogram();
    const times = Array.from({ length: 5000 }, (_, at) => Math.round(1.0043 ** at));
    for (const time of times) histogram.record(time);
    expect(histogram.count).toBe(times.length);
    expect(histogram.maxNanoseconds).toBe(times.at(-1));
    for (const share of [0.001, 0.1, 0.5, 0.9, 0.99, 1]) {
      const exact = times[Math.ceil(share * times.length) - 1] as number;
      expect(histogram.percentile(share)).toBeGreaterThanOrEqual(exact);
      expect(histogram.percentile(share)).toBeLessThanOrEqual(exact * 1.032 + 1);
    }
  });

  test('small, huge and fractional times', () => {
    const histogram = new LatencyHistogram();
    for (const time of [0, 1, 63, 64, 0.5]) histogram.record(time);
    expect(histogram.percentile(1)).toBe(64);
    expect(histogram.percentile(0.4)).toBe(0);
    histogram.record(1e12);
    expect(histogram.maxNanoseconds).toBe(1e12);
    expect(histogram.percentile(1)).toBeGreaterThan(2e9);
    expect(histogram.percentile(0.8)).toBe(65);
  });
});

describe('the command line', () => {
  test('defaults', () => {
    expect(ioRequest(['x'], {})).toEqual({
      target: 'x',
      engine: 'auto',
      workload: 'randread',
      blockBytes: 4096,
      depth: 32,
      seconds: 5,
      sizeBytes: undefined,
      force: false,
      json: false,
    });
  });

  test('everything given', () => {
    const options = {
      engine: 'aio',
      rw: 'write',
      bs: '1M',
      depth: '4',
      seconds: '0.5',
      size: '1G',
      write: true,
    };
    expect(ioRequest(['x'], { ...options, force: true, json: true })).toMatchObject({
      engine: 'aio',
      workload: 'write',
      blockBytes: MIB,
      depth: 4,
      seconds: 0.5,
      sizeBytes: 1024 * MIB,
      force: true,
      json: true,
    });
  });

  test.each<[OptionValues, RegExp]>([
    [{ engine: 'fast' }, /--engine fast is none of auto, uring/],
    [{ rw: 'trim' }, /--rw trim is none of randread/],
    [{ bs: '0' }, /--bs/],
    [{ bs: '128M' }, /--bs/],
    [{ bs: 'much' }, /--bs much is not a size/],
    [{ depth: '0' }, /--depth 0/],
    [{ depth: '5000' }, /--depth 5000/],
    [{ depth: '1.5' }, /--depth 1.5/],
    [{ depth: '4096', bs: '1M' }, /--bs times --depth/],
    [{ seconds: '0' }, /--seconds 0/],
    [{ seconds: '-1' }, /--seconds -1/],
    [{ seconds: '1e3' }, /--seconds 1e3/],
    [{ size: 'all' }, /--size all is not a size/],
    [{ rw: 'write' }, /--write/],
    [{ rw: 'randwrite', force: true }, /--write/],
  ])('%j is refused', (options, says) => {
    expect(() => ioRequest(['x'], options)).toThrow(UsageError);
    expect(() => ioRequest(['x'], options)).toThrow(says);
  });

  test('targets that cannot be measured', async () => {
    const image = temporaryFile(pattern(10_000));
    await expectRefusal([], 2, /target/);
    await expectRefusal([join(temporaryFolder(), 'missing')], 1, /does not exist/);
    await expectRefusal([temporaryFolder()], 1, /is a directory/);
    await expectRefusal(['/dev/null'], 1, /neither a block device nor an image file/);
    await expectRefusal([temporaryFile(0)], 1, /less than one request/);
    await expectRefusal([image, '--size', '1M'], 1, /--size 1 MiB is more than/);
    await expectRefusal([image, '--bs', '64K'], 1, /less than one request/);
    await expectRefusal(['/proc/version', '--engine', 'uring', '--size', '0'], 1, /less than one request/);
  });
});

describe('a run', () => {
  test.each(ENGINES)('by engine %s reads and changes nothing', async (engine) => {
    const content = pattern(MIB);
    const image = temporaryFile(content);
    const words = [image, '--engine', engine, '--seconds', '0.5', '--depth', '4', '--json'];
    const { status, out, err } = await io(words);
    expect({ status, err }).toEqual({ status: 0, err: '' });
    const report = JSON.parse(out);
    expect(report).toMatchObject({
      target: image,
      engine,
      workload: 'randread',
      blockBytes: 4096,
      depth: 4,
      sizeBytes: MIB,
    });
    expect(report.requests).toBeGreaterThan(0);
    expect(report.iops).toBeCloseTo(report.requests / report.seconds, 3);
    expect(report.bytesPerSecond).toBeCloseTo(report.iops * 4096, 0);
    const { p50, p90, p99, max } = report.latencyUs;
    expect(p50).toBeGreaterThan(0);
    expect([p50, p90, p99, max]).toEqual([p50, p90, p99, max].sort((a, b) => a - b));
    expect(report.cpuUsPerRequest).toBeGreaterThan(0);
    expect(readFileSync(image).equals(content)).toBe(true);
  });

  test.each(WORKLOADS.filter((name) => name.endsWith('write')))(
    '%s stays inside --size',
    async (workload) => {
      const image = temporaryFile(MIB);
      const words = [image, '--rw', workload, '--write', '--bs', '8K', '--size', '100K', '--seconds', '0.4'];
      expect(await io(words)).toMatchObject({ status: 0, err: '' });
      const stored = readFileSync(image);
      expect(stored.length).toBe(MIB);
      expect(stored.subarray(0, 8192).every((byte) => byte === 0)).toBe(false);
      expect(stored.subarray(96 * 1024).every((byte) => byte === 0)).toBe(true);
    },
  );

  test('as people read it, with a bar on a terminal', async () => {
    const { status, out, err } = await io(
      [temporaryFile(MIB), '--seconds', '0.3', '--rw', 'read', '--bs', '64K'],
      true,
    );
    expect(status).toBe(0);
    expect(out).toMatch(/: read, 64 KiB at depth 32, engine \w+, 0\.\d s on 1 MiB\n/);
    for (const name of ['IOPS', 'throughput', 'latency', 'CPU per I/O']) expect(out).toContain(`\n${name}:`);
    expect(err).toContain('[====');
    // The line is erased, and the terminal goes on showing what comes.
    expect(err.endsWith('\x1b[2K\x1b[G\x1b[?2026l')).toBe(true);
  });
});

describe('writing', () => {
  const words = ['--rw', 'write', '--write', '--seconds', '0.2'];

  test('is refused on what holds something, unless forced', async () => {
    const content = pattern(MIB);
    content.write('QUARRY', 0);
    const image = temporaryFile(content);
    await expectRefusal([image, ...words], 1, /holds a Quarry volume: use --force/);
    expect(readFileSync(image).equals(content)).toBe(true);
    expect(await io([image, ...words, '--force'])).toMatchObject({ status: 0 });
    expect(readFileSync(image).equals(content)).toBe(false);
  });

  test('is refused on what somebody holds', async () => {
    const image = temporaryFile(MIB);
    const holder = await openFile(image, { flags: 'r+', lock: 'exclusive' });
    await expectRefusal([image, ...words, '--force'], 1, /is in use/);
    await holder.close();
    expect(await io([image, ...words])).toMatchObject({ status: 0 });
  });

  test.skipIf(!IS_ROOT)('is refused on a device that is mounted, and on the image behind it', async () => {
    const device = makeLoopDevice(16 * MIB);
    const image = readFileSync(`/sys/block/${device.slice(5)}/loop/backing_file`, 'utf8').trim();
    execFileSync('mkfs.ext4', ['-q', '-F', device]);
    const directory = temporaryFolder();
    execFileSync('mount', ['-t', 'ext4', device, directory]);
    try {
      const before = statSync(directory).ino;
      for (const target of [device, image]) {
        await expectRefusal([target, ...words, '--force'], 1, /is mounted on/);
      }
      expect(await io([device, '--seconds', '0.05'])).toMatchObject({ status: 0 });
      expect(statSync(directory).ino).toBe(before);
    } finally {
      execFileSync('umount', [directory]);
    }
    await expectRefusal([image, ...words], 1, /is in use by \/dev\/loop/);
    await expectRefusal([device, ...words], 1, /holds an ext2, ext3 or ext4 filesystem/);
  });
});
