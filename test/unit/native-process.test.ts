/**
 * Processes by descriptors: their end and its status, also when the number is another's by then.
 */
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { MountServer } from '../../src/cli/mount-server.ts';
import { connectionIn } from '../../src/cli/processes.ts';
import { native } from '../../src/native.ts';

async function ended(descriptor: number): Promise<void> {
  while (!native.processHasEnded(descriptor)) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** A child that ends when told to, and a descriptor of it. */
function start(script: string) {
  const child = spawn('sh', ['-c', `read line; ${script}`], { stdio: ['pipe', 'ignore', 'ignore'] });
  const collected = new Promise((resolve) => child.once('exit', resolve));
  const descriptor = native.openProcess(child.pid ?? 0);
  expect(descriptor).toBeGreaterThan(0);
  return { child, descriptor, collected };
}

test.each([
  ['exit 0', 0],
  ['exit 1', 0x100],
  ['exit 77', 77 << 8],
  ['kill -9 $$', 9],
])('%s', async (script, status) => {
  const { child, descriptor, collected } = start(script);
  expect(native.processHasEnded(descriptor)).toBe(false);
  expect(native.processExit(descriptor)).toBe(-1);
  child.stdin.end('\n');
  await ended(descriptor);
  await collected;
  // Kernels before 6.15 do not say.
  expect([status, -1]).toContain(native.processExit(descriptor));
  closeSync(descriptor);
});

test('signals reach the process that was opened, or nobody', async () => {
  const { descriptor, collected } = start('exit 0');
  expect(native.signalProcess(descriptor, 0)).toBe(0);
  expect(native.signalProcess(descriptor, 9)).toBe(0);
  await ended(descriptor);
  await collected;
  expect(native.signalProcess(descriptor, 0)).toBe(3);
  closeSync(descriptor);
  expect(native.openProcess(2 ** 22 + 1)).toBeLessThan(0);
});

test('a connection as fdinfo names it, and processes that serve none', () => {
  expect(connectionIn('pos:\t0\nflags:\t02104002\nmnt_id:\t24\nino:\t90\nfuse_connection:\t7340032\n')).toBe(
    7340032,
  );
  expect(connectionIn('pos:\t0\nflags:\t02104002\nmnt_id:\t24\nino:\t90\n')).toBeUndefined();
  expect(MountServer.prove(process.pid, 39)).toBeUndefined();
  expect(MountServer.believe(process.pid, process.getuid?.() ?? 0)).toBeUndefined();
});
