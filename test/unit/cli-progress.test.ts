/** Progress on a terminal: it is drawn, taken away, and leaves the cursor shown however it ends. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MemoryDevice } from '../../src/sim/memory-device.ts';
import { formatted, TestVolume } from '../suite/volume-harness.ts';

const SIZE_BYTES = 32 * 1024 * 1024;
const MAIN = new URL('../../dist/cli/main.js', import.meta.url).pathname;
const ESCAPE = '\x1b';
const SHOW = `${ESCAPE}[?25h`;
const HIDE = `${ESCAPE}[?25l`;

/**
 * Runs a command whose standard error is a terminal, and feeds it a file bit by bit; with `signal`
 * it gets that when it has drawn a line. Prints what the terminal got.
 */
const TERMINAL = `
import os, pty, signal, subprocess, sys, threading, time
stream, number, *words = sys.argv[1:]
master, slave = pty.openpty()
child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=slave)
os.close(slave)
got = b''
def listen():
    global got
    try:
        while piece := os.read(master, 65536): got += piece
    except OSError: pass
reader = threading.Thread(target=listen)
reader.start()
try:
    data = open(stream, 'rb').read()
    step = len(data) // 40
    for at in range(0, len(data), step):
        child.stdin.write(data[at:at + step])
        child.stdin.flush()
        time.sleep(0.05)
        if number != '0' and b'copying' in got:
            child.send_signal(int(number))
            code = child.wait()
            break
    child.stdin.close()
except BrokenPipeError: pass
code = child.wait()
reader.join()
print(code)
sys.stdout.flush()
os.write(1, got)
`;

let folder = '';
let stream = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'quarry-progress-'));
  const device = new MemoryDevice(SIZE_BYTES);
  await formatted(device, 4096);
  const volume = await TestVolume.open(device);
  await volume.write(await volume.create('/file'), 0, new Uint8Array(14 * 1024 * 1024).fill(7));
  await volume.volume.unmount();
  const image = join(folder, 'v.img');
  writeFileSync(image, device.peek(0, SIZE_BYTES));
  stream = join(folder, 'stream');
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, 'clone', image, '-'], {
    maxBuffer: SIZE_BYTES,
  });
  // No terminal, no progress.
  expect([status, stderr.toString()]).toEqual([0, expect.stringMatching(/^quarry: [^\n\r]* copied\n$/)]);
  writeFileSync(stream, stdout);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function onTerminal(signal: number, environment: NodeJS.ProcessEnv) {
  const copy = join(folder, `copy-${signal}-${Object.keys(environment).join()}`);
  const words = [process.execPath, MAIN, 'clone', '--restore', '-', copy];
  const child = spawn('python3', ['-c', TERMINAL, stream, String(signal), ...words], {
    env: { ...process.env, TERM: 'xterm', ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  await new Promise((resolve) => child.once('exit', resolve));
  const end = out.indexOf('\n');
  return { code: Number(out.slice(0, end)), got: out.slice(end + 1) };
}

test.each([
  [0, 0],
  [2, 1],
  [15, 1],
])('with signal %d the cursor is shown at the end', async (signal, code) => {
  const ran = await onTerminal(signal, {});
  expect(ran.code).toBe(code);
  expect(ran.got).toMatch(/copying/);
  expect(ran.got).toContain(HIDE);
  expect(ran.got.lastIndexOf(SHOW)).toBeGreaterThan(ran.got.lastIndexOf(HIDE));
  expect(ran.got).toMatch(signal === 0 ? /quarry: [^\n]* copied\r\n/ : /quarry: [^\n]*interrupted\r\n/);
});

test('without colours, and on a terminal that can do nothing there is none', async () => {
  const plain = await onTerminal(0, { NO_COLOR: '1' });
  expect(plain.got).toContain('copying');
  for (const piece of plain.got.split(ESCAPE).slice(1)) expect(piece).not.toMatch(/^\[[\d;]*m/);
  const dumb = await onTerminal(0, { TERM: 'dumb' });
  expect(dumb.got).toMatch(/^quarry: [^\n]* copied\r\n$/);
  expect(dumb.got).not.toContain(ESCAPE);
});
