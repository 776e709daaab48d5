/** `quarry fsck` on an image file: what it says, what it exits with, and what it leaves. */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { sealBytes } from '../../src/check/metadata-block.ts';
import type { Terminal } from '../../src/cli/command.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import { viewOf } from '../../src/common/bytes.ts';
import { Superblock, VolumeRoot } from '../../src/fs/format/format.ts';

const BLOCK = 4096;
let folder: string;
let image: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'quarry-fsck-'));
  image = join(folder, 'image');
  expect(await words('mkfs', image, '--size', '8M')).toMatchObject({ status: 0 });
});

afterEach(() => rmSync(folder, { recursive: true }));

async function words(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const said = { out: '', err: '' };
  const terminal: Terminal = {
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    interactive: false,
  };
  return { status: await runCommandLine(args, terminal), ...said };
}

/** Changes a block of the image, and seals it. */
function edit(block: number, lengthBytes: number, change: (view: DataView) => void): void {
  const descriptor = openSync(image, 'r+');
  const bytes = new Uint8Array(lengthBytes);
  readSync(descriptor, bytes, 0, lengthBytes, block * BLOCK);
  change(viewOf(bytes));
  sealBytes(bytes);
  writeSync(descriptor, bytes, 0, lengthBytes, block * BLOCK);
  closeSync(descriptor);
}

function volumeRootBlock(): number {
  let block = 0;
  edit(0, 1024, (view) => {
    block = Superblock.volumeRootBlock.get(view, 0);
  });
  return block;
}

const miscount = () => edit(volumeRootBlock(), BLOCK, (view) => VolumeRoot.inodeCount.set(view, 0, 9));
const loseRoot = () => edit(volumeRootBlock(), BLOCK, (view) => view.setUint16(6, 99, true));

describe('quarry fsck', () => {
  test.each(['-n', '-p', '-a', '-y', '-f'])('a sound volume with %s', async (option) => {
    const { status, out, err } = await words('fsck', option, image);
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(out).toMatch(/: clean; 1 inodes \(0 files, 1 directories\)/);
  });

  test('a wrong count is found by -n, left, and corrected by -p', async () => {
    miscount();
    for (let i = 0; i < 2; i++) {
      const { status, out } = await words('fsck', '-n', image);
      expect(status).toBe(4);
      expect(out).toContain('the volume root counts 9 inodes, there are 1 [root-count]');
    }
    const { status, out } = await words('fsck', '-p', image);
    expect(status).toBe(1);
    expect(out).toContain('there are 1: counted anew [root-count]');
    expect(out).toContain('1 problem, all corrected');
    expect((await words('fsck', image)).status).toBe(0);
  });

  test('-p leaves what could lose something, and says what to do', async () => {
    loseRoot();
    const { status, err } = await words('fsck', '-p', image);
    expect(status).toBe(4);
    expect(err).toMatch(
      /^quarry: \S+ needs a repair that could lose something.* run 'quarry fsck -y \S+'\n$/,
    );
    expect((await words('fsck', '-n', image)).status).toBe(4);
    expect((await words('fsck', '-y', image)).status).toBe(1);
    expect((await words('fsck', '-n', image)).status).toBe(0);
  });

  test('--json tells of each problem whether it was repaired', async () => {
    miscount();
    const found = await words('fsck', '--json', image);
    expect(JSON.parse(found.out)).toMatchObject({
      outcome: 'found',
      status: 4,
      clean: false,
      problems: [{ code: 'root-count', repair: 'safe', repaired: false }],
    });
    const repaired = await words('fsck', '-y', '--json', image);
    expect(JSON.parse(repaired.out)).toMatchObject({
      outcome: 'corrected',
      status: 1,
      clean: true,
      state: 'clean',
      problems: [{ code: 'root-count', remedy: 'counted anew', repaired: true }],
    });
  });

  test('what cannot be asked for, and what cannot be checked', async () => {
    expect(await words('fsck', '-n', '-y', image)).toMatchObject({ status: 16 });
    expect(await words('fsck')).toMatchObject({ status: 16 });
    expect(await words('fsck', join(folder, 'nothing'))).toMatchObject({ status: 8 });
    expect(await words('fsck', '-y', folder)).toMatchObject({ status: 8 });
  });

  test('the bar goes to standard error, with the passes by number', async () => {
    const { status, err } = await words('fsck', '--progress', image);
    expect(status).toBe(0);
    expect(err).toMatch(/\d+\/11 \w+/);
  });
});
