/**
 * What comes from a disk, a path or a name is shown so that it steers no terminal and makes no line
 * of its own.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommandLine } from '../../src/cli/program.ts';
import { formatVolume } from '../../src/fs/mkfs.ts';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { TestVolume } from '../suite/volume-harness.ts';

/**
 * Clears the screen, ends the line, a C1 control that begins a sequence, delete, and a mark that
 * turns the writing.
 */
const HOSTILE = 'a\x1b[2Jb\nquarry: c\u009b31md\x7fe\u202ef';
// biome-ignore-start lint/suspicious/noControlCharactersInRegex: they are what must not be there
const STEERS = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: see above
const BLOCK_BYTES = 4096;

const directory = mkdtempSync(join(tmpdir(), 'quarry-printable-'));
const place = join(directory, HOSTILE);
const image = join(place, 'volume.img');

beforeAll(async () => {
  const device = new MemoryDevice(2 * 1024 * 1024);
  const id = {
    uuid: new Uint8Array(16).fill(3),
    journalSalt: new Uint8Array(8),
    nameSecret: new Uint8Array(16),
  };
  await formatVolume(device, { ...id, blockBytes: BLOCK_BYTES, label: HOSTILE, uid: 0, gid: 0 });
  const volume = await TestVolume.open(device);
  await volume.create(`/${HOSTILE}`);
  await volume.symlink(HOSTILE, '/link');
  await volume.volume.unmount();
  mkdirSync(place);
  writeFileSync(image, device.peek(0, device.sizeBytes));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function run(...words: string[]): Promise<{ status: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const terminal = {
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
    interactive: false,
  };
  return { status: await runCommandLine(words, terminal), out, err };
}

describe('hostile text', () => {
  test.each([
    ['info'],
    ['info', '--json'],
    ['fsck', '-n'],
    ['fsck', '-n', '--json'],
    ['dump', 'superblock'],
    ['dump', 'superblock', '--json'],
    ['dump', 'dir', '1'],
    ['dump', 'dir', '1', '--json'],
    ['dump', 'inode', '1'],
    ['dump', 'inode', '3'],
    ['dump', 'block', '0'],
    ['mkfs'],
    ['mkfs', '--label', HOSTILE],
    ['mkfs', '--force', '--uuid', HOSTILE],
    ['mkfs', HOSTILE],
    ['mount', '--fake', '-o', `x=${HOSTILE}`],
    ['mount', '--fake'],
    ['umount'],
    ['stat'],
    [HOSTILE],
  ])('of a volume, shown by %j', async (command, ...more) => {
    const { out, err, status } = await run(command, image, ...more);
    expect(out + err, 'says something').not.toBe('');
    expect(out).not.toMatch(STEERS);
    expect(err).not.toMatch(STEERS);
    expect(err.split('\n').length, err).toBeLessThanOrEqual(2);
    expect(out).not.toMatch(/^quarry: c/m);
    if (more.includes('--json')) expect(status).toBe(0);
  });

  test('is told as it is to programs', async () => {
    const told = JSON.parse((await run('info', '--json', image)).out);
    expect(told).toMatchObject({ label: HOSTILE, target: image });
    const { entries } = JSON.parse((await run('dump', image, 'dir', '1', '--json')).out);
    expect(entries).toContainEqual(expect.objectContaining({ name: HOSTILE }));
  });

  test('a label that would need it is not made', async () => {
    const made = join(directory, 'made.img');
    for (const label of ['a\nb', '\x1b', '\x7f', '\u0085', 'a\0b', '\u202e']) {
      expect((await run('mkfs', '--size', '4M', '--label', label, made)).status).toBe(2);
    }
    expect((await run('mkfs', '--size', '4M', '--label', 'Größe – ταξίδι 🐟', made)).status).toBe(0);
    expect((await run('info', made)).out).toContain('Größe – ταξίδι 🐟');
  });
});
