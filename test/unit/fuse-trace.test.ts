/** `--debug`: what a line says of a request, which are told, and that nobody waits for the lines. */
import { expect, test } from 'vitest';
import { DebugLines, traceChoice } from '../../src/cli/debug-lines.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import { Opcode } from '../../src/fuse/abi.ts';
import { Session } from '../../src/fuse/session.ts';
import { FakeChannel, message, text, u32, u64 } from '../suite/fuse-fake-channel.ts';
import { MemoryFileSystem } from '../suite/fuse-memory-filesystem.ts';

const FILE = 0o100644;

/** Lines without their times. */
function traced(what: string, act: (channel: FakeChannel) => void): string[] {
  const lines: string[] = [];
  const channel = new FakeChannel();
  const trace = { ...traceChoice(what), line: (line: string) => lines.push(line) };
  new Session(channel, new MemoryFileSystem(), { log: () => {}, trace }).start();
  channel.deliver(message(Opcode.INIT, 0n, u32(7, 45, 131072, 0x7fff_ffff)));
  act(channel);
  for (const line of lines) expect(line).toMatch(/^\d+\.\d{6} .*, \d+\.\d{3} ms, pid \d+$/);
  return lines.map((line) => line.replace(/^\S+ |, \S+ ms, pid \d+$/g, ''));
}

function work(channel: FakeChannel): void {
  const made = channel.answer(Opcode.MKNOD, 1n, Buffer.concat([u32(FILE, 0, 0, 0), text('a\u001b[2J')]));
  const inode = made.readBigUInt64LE(0);
  const write = Buffer.concat([u64(5), u64(8), u32(3, 0), u64(0), u32(0, 0), Buffer.from('abc')]);
  channel.ask(Opcode.WRITE, inode, write);
  channel.ask(Opcode.READ, inode, Buffer.concat([u64(5), u64(0), u32(4096, 0), u64(0), u32(0, 0)]));
  channel.ask(Opcode.RENAME, 1n, Buffer.concat([u64(1), text('missing'), text('other')]));
  channel.ask(Opcode.OPEN, inode, u32(0, 0));
  // Too short to have arguments.
  channel.ask(Opcode.SETATTR, inode, u32(0));
}

test('each request has a line, with what it says and what it was answered', () => {
  const lines = traced('', work);
  expect(lines).toEqual([
    'init(0) = 0',
    expect.stringMatching(/^mknod\(1, "a\?\[2J"\) = inode \d+$/),
    expect.stringMatching(/^write\(\d+, 3 bytes at 8\) = 3$/),
    expect.stringMatching(/^read\(\d+, 4096 bytes at 0\) = 11$/),
    'rename(1, "missing", 1, "other") = ENOENT',
    expect.stringMatching(/^open\(\d+\) = ENOSYS$/),
    expect.stringMatching(/^setattr\(\d+\) = EINVAL$/),
  ]);
});

test('some operations, or errors that are no agreements', () => {
  expect(traced('mknod,write', work)).toHaveLength(2);
  expect(traced('errors', work).map((line) => line.replace(/.* = /, ''))).toEqual(['ENOENT', 'EINVAL']);
  expect(traced('errors,setattr', work)).toHaveLength(1);
});

test('what is no operation is refused; without = the next word is not what is to be shown', async () => {
  expect(() => traceChoice('lokup')).toThrow(/lokup is not known: errors, .*lookup/);
  for (const [words, fault] of [
    [['--debug=lokup', 'v.img', '/mnt'], /^quarry: --debug=lokup is not known: [^\n]*\n$/],
    [['-d', '/nowhere.img', '/'], /^quarry: [^\n]*\/nowhere\.img[^\n]*\n$/],
    [['--debug', '/nowhere.img', '/'], /^quarry: [^\n]*\/nowhere\.img[^\n]*\n$/],
    [['-rd', '/nowhere.img', '/'], /^quarry: [^\n]*\/nowhere\.img[^\n]*\n$/],
    [['-o', 'debug=lokup', 'v.img', '/mnt'], /^quarry: --debug=lokup is not known: [^\n]*\n$/],
    [['-o', 'debug,layer=fuse-native', '/nowhere.img', '/'], /^quarry: --debug shows[^\n]*\n$/],
    [['-d', '-o', 'layer=fuse-native', '/nowhere.img', '/'], /^quarry: --debug shows[^\n]*\n$/],
  ] as const) {
    let err = '';
    const terminal = { out: () => {}, err: (said: string) => (err += said), interactive: false };
    expect(await runCommandLine(['mount', ...words], terminal)).toBeGreaterThan(0);
    expect(err).toMatch(fault);
  }
});

test('lines wait for whoever reads them, up to a bound, and in order', async () => {
  let out = '';
  let take: () => void = () => {};
  const lines = new DebugLines((said, done) => {
    out += said;
    take = done;
  });
  for (let i = 0; i < 30_000; i++) lines.line(`${i}`.padStart(99));
  expect(out).toBe(`${'0'.padStart(99)}\n`);
  take();
  const told = out.split('\n');
  const leftOut = Number(/(\d+) lines left out/.exec(told.at(-2) ?? '')?.[1]);
  expect(leftOut).toBeGreaterThan(15_000);
  expect(told.length - 2 + leftOut).toBe(30_000);
  expect(told.slice(0, 9).map(Number)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  const ended = lines.end();
  take();
  await ended;
});
