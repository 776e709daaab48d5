/** Files that other processes have open are looked for without touching what is not meant. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { storageIdOf } from '../../src/cli/block-devices.ts';
import { fileId } from '../../src/cli/storage-layers.ts';
import { openElsewhere } from '../../src/cli/storage-users.ts';

let directory: string;
let holder: ChildProcess | undefined;
beforeEach(() => {
  // Not in a layer: what is open there shows other device numbers than the mount, and may be any.
  directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'quarry-users-'));
});
afterEach(() => {
  holder?.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

/** A file without a path that a child has open as its standard input. */
async function heldFile(): Promise<{ status: ReturnType<typeof statusOf>; path: string }> {
  const file = join(directory, 'held');
  const descriptor = openSync(file, 'w+');
  const child = spawn('sleep', ['100'], { stdio: [descriptor, 'ignore', 'ignore'] });
  holder = child;
  await new Promise((resolve) => child.once('spawn', resolve));
  closeSync(descriptor);
  const status = statusOf(file);
  unlinkSync(file);
  return { status, path: `/proc/${child.pid}/fd/0` };
}

function statusOf(path: string) {
  return statSync(path, { bigint: true });
}

test('a removed file is found where it is open', async () => {
  const { status, path } = await heldFile();
  expect(openElsewhere(storageIdOf(status))).toEqual([path]);
});

test('a file with the same number on another filesystem is not it', async () => {
  const { status } = await heldFile();
  expect(openElsewhere(fileId('0:987654', status.ino))).toEqual([]);
});
