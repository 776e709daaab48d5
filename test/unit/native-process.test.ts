/** A process held by its descriptor: its end, and the status that it leaves. */
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { native } from '../../src/native.ts';

/** Runs a shell that waits for its standard input to end. */
async function statusOf(script: string): Promise<number> {
  const child = spawn('sh', ['-c', `read -r line; ${script}`], { stdio: ['pipe', 'ignore', 'ignore'] });
  const descriptor = native.openProcess(child.pid as number);
  try {
    expect(descriptor).toBeGreaterThan(0);
    expect(native.processHasEnded(descriptor)).toBe(false);
    expect(native.processExit(descriptor)).toBe(-1);
    child.stdin?.end('go\n');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(native.processHasEnded(descriptor)).toBe(true);
    return native.processExit(descriptor);
  } finally {
    closeSync(descriptor);
    child.kill('SIGKILL');
  }
}

test.each([
  ['exit 0', 0],
  ['exit 3', 3 << 8],
  ['exit 255', 255 << 8],
  ['kill -9 $$', 9],
])('%s leaves %i, as wait(2) has it', async (script, status) => {
  // Kernels before 6.15 do not tell.
  expect([-1, status]).toContain(await statusOf(script));
});
