/** Conformance: what `openFile` takes, gives and refuses; what a file says of itself; its end. */
import { execFileSync } from 'node:child_process';
import { constants, existsSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { AlignedBuffer } from '../../src/aio/file/aligned-buffer.ts';
import type { OpenFileOptions } from '../../src/aio/file/async-file.ts';
import type { Cases } from './aio-conformance.ts';
import { expectRefused, expectSenseless } from './aio-conformance-refusals.ts';
import { temporaryFolder } from './aio-conformance-targets.ts';

/** Flags that the kernel keeps for a descriptor: /proc/self/fdinfo, in octal. */
function kernelFlags(descriptor: number): number {
  const text = readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8');
  return Number.parseInt(/^flags:\s*(\d+)$/m.exec(text)?.[1] ?? '', 8);
}

/** Options of one kind that make no sense, by the name that the error must say. */
const SENSELESS: Readonly<Record<string, unknown[]>> = {
  engine: ['fast', '', 7],
  flags: ['rw', '', -1, 1.5],
  mode: [-1, 1.5, Number.NaN],
  lock: ['both', ''],
  queueDepth: [0, -1, 4097, 1.5, Number.NaN, '8'],
  timeoutMs: [-1, Number.NaN, Number.POSITIVE_INFINITY, '5'],
  align: ['maybe', true],
  spinUs: [-1, 1001, Number.NaN],
};

export const openingCases: Cases = {
  'the options have the documented defaults': async (place) => {
    const file = await place.open({ flags: 'r' });
    expect(file.options).toEqual({
      engine: place.engine,
      flags: constants.O_RDONLY,
      mode: 0o666,
      lock: undefined,
      queueDepth: 128,
      timeoutMs: 0,
      align: 'auto',
      spinUs: 50,
    });
  },

  'the options are those that were given': async (place) => {
    const given = {
      mode: 0o600,
      lock: 'shared',
      queueDepth: 3,
      timeoutMs: 60_000,
      align: 'strict',
      spinUs: 0,
    } as const;
    const file = await place.open(given);
    expect(file.options).toEqual({ ...given, engine: place.engine, flags: constants.O_RDWR });
  },

  'options that make no sense are refused by name': async (place) => {
    for (const [name, values] of Object.entries(SENSELESS)) {
      for (const value of values) {
        const options = { [name]: value } as OpenFileOptions;
        await expectSenseless(place.open(options), new RegExp(name), `${name}: ${String(value)}`);
      }
    }
  },

  'paths that make no sense are refused': async (place) => {
    await expectSenseless(place.openPath('a\0b'), /path|null byte/i);
    await expectSenseless(place.openPath(7 as unknown as string), /path/i);
    await expectRefused(place.openPath(''), 'ENOENT');
  },

  'the descriptor is that of the file, closed in children, direct where the engine is': async (place) => {
    const file = await place.open();
    expect(readlinkSync(`/proc/self/fd/${file.fd}`)).toBe(place.path);
    expect(file.path).toBe(place.path);
    const flags = kernelFlags(file.fd);
    expect(flags & 0o2000000, 'O_CLOEXEC').not.toBe(0);
    expect((flags & constants.O_DIRECT) !== 0, 'O_DIRECT').toBe(place.isDirect);
    expect(flags & 3, 'access mode').toBe(constants.O_RDWR);
  },

  'the alignment is that of the engine and the storage': async (place) => {
    const file = await place.open();
    for (const bytes of [file.alignment.offsetBytes, file.alignment.memoryBytes]) {
      expect(Number.isInteger(Math.log2(bytes))).toBe(true);
      if (place.isDirect) expect(bytes).toBeLessThanOrEqual(4096);
      else expect(bytes).toBe(1);
    }
    if (place.isDirect && place.isDevice) expect(file.alignment.offsetBytes).toBe(512);
  },

  'stat tells the real size, also of a device': async (place) => {
    const file = await place.open({ flags: 'r' });
    const stat = await file.stat();
    expect(stat.size).toBe(place.sizeBytes);
    expect(stat.isBlockDevice()).toBe(place.isDevice);
    expect(file.isBlockDevice).toBe(place.isDevice);
    expect(stat.ino).toBe(statSync(place.path).ino);
  },

  'what is not there, or neither file nor device, is refused': async (place) => {
    const folder = temporaryFolder();
    const missing = join(folder, 'missing');
    const error = await expectRefused(place.openPath(missing), 'ENOENT');
    expect(error.path).toBe(missing);
    expect(error.syscall).toBe('open');
    expect(error.message).toContain(missing);
    await expectRefused(place.openPath(join(place.path, 'x')), 'ENOTDIR');
    await expectRefused(place.openPath(folder), 'EISDIR');
    await expectRefused(place.openPath(folder, { flags: 'r' }), 'EISDIR');
    await expectRefused(place.openPath('/dev/null'), 'ENOTBLK');
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    await expectRefused(place.openPath(pipe, { flags: 'r' }), 'ENOTBLK');
  },

  'a file is made with its mode, less the umask, and not over another': async (place) => {
    const path = join(temporaryFolder(place.kind === 'tmpfs' ? '/dev/shm' : '/var/tmp'), 'new');
    const file = await place.openPath(path, { flags: 'wx+', mode: 0o640 });
    expect(statSync(path).mode & 0o777).toBe(0o640 & ~process.umask());
    expect(await file.writeAt(Buffer.from('hello'), 0)).toBe(5);
    await file.close();
    expect(readFileSync(path, 'utf8')).toBe('hello');
    await expectRefused(place.openPath(path, { flags: 'wx' }), 'EEXIST');
    const emptied = await place.openPath(path, { flags: 'w+' });
    expect((await emptied.stat()).size).toBe(0);
  },

  'flags may be a number': async (place) => {
    const path = place.beside();
    const flags = constants.O_RDWR | constants.O_TRUNC;
    const file = await place.openPath(path, { flags });
    expect(file.options.flags).toBe(flags);
    expect(await file.writeAt(Buffer.from('x'), 3)).toBe(1);
  },

  'a file for reading is not written, and one for writing not read': async (place) => {
    const reader = await place.open({ flags: 'r' });
    const block = AlignedBuffer.allocate(4096);
    await expectRefused(reader.writeAt(block, 0), 'EBADF');
    await expectRefused(reader.writeAtv([block, block], 0), 'EBADF');
    await expectRefused(reader.write(block), 'EBADF');
    const writer = await place.open({ flags: constants.O_WRONLY });
    await expectRefused(writer.readAt(block, 0), 'EBADF');
    await expectRefused(writer.readAtv([block, block], 0), 'EBADF');
    expect(await writer.writeAt(AlignedBuffer.from(Buffer.alloc(4096, 9)), 4096)).toBe(4096);
    expect(await writer.writeAt(Buffer.from('odd'), 4095)).toBe(3);
    await writer.close();
    expect(place.stored().subarray(4094, 4100)).toEqual(
      Buffer.concat([place.content.subarray(4094, 4095), Buffer.from('odd'), Buffer.from([9, 9])]),
    );
  },

  'close is one promise, lets go of the descriptor, and ends the use of the file': async (place) => {
    const file = await place.open();
    const { fd } = file;
    expect(file.isClosed).toBe(false);
    const closing = file.close();
    expect(file.close()).toBe(closing);
    expect(file.isClosed).toBe(true);
    await closing;
    expect(file.close()).toBe(closing);
    const link = `/proc/self/fd/${fd}`;
    if (existsSync(link)) expect(readlinkSync(link)).not.toBe(place.path);
  },

  'every method of a closed file is refused with EBADF': async (place) => {
    const file = await place.open();
    await file.close();
    const block = AlignedBuffer.allocate(4096);
    const calls: Readonly<Record<string, () => Promise<unknown>>> = {
      stat: () => file.stat(),
      read: () => file.read(block),
      readAt: () => file.readAt(block, 0),
      readAtv: () => file.readAtv([block], 0),
      write: () => file.write(block),
      writeAt: () => file.writeAt(block, 0),
      writeAtv: () => file.writeAtv([block], 0),
      append: () => file.append(block),
      seek: () => file.seek(0),
      truncate: () => file.truncate(0),
      sync: () => file.sync(),
      datasync: () => file.datasync(),
      lock: () => file.lock('shared'),
      unlock: () => file.unlock(),
      submitRead: () => file.submitRead(block, 0).wait(),
      submitWrite: () => file.submitWrite(block, 0).wait(),
      submitSync: () => file.submitSync().wait(),
      chunks: () => file.chunks().next(),
    };
    for (const [name, call] of Object.entries(calls)) {
      const error = await expectRefused(Promise.resolve().then(call), 'EBADF').catch((thrown: unknown) => {
        throw new Error(`${name}: ${thrown}`);
      });
      expect(error.path, name).toBe(place.path);
    }
    expect(place.stored().equals(place.content)).toBe(true);
  },

  'await using closes': async (place) => {
    const { fd } = await (async () => {
      await using file = await place.open();
      return file;
    })();
    const link = `/proc/self/fd/${fd}`;
    if (existsSync(link)) expect(readlinkSync(link)).not.toBe(place.path);
  },

  'close lets everything submitted before end': async (place) => {
    const file = await place.open({ queueDepth: 4 });
    const data = AlignedBuffer.from(Buffer.alloc(512, 0xa5));
    const requests = Array.from({ length: 64 }, (_, at) => file.submitWrite(data, at * 1024));
    await file.close();
    expect(requests.map(({ state }) => state)).toEqual(requests.map(() => 'done'));
    const stored = place.stored();
    for (let at = 0; at < 64; at++) expect(stored.subarray(at * 1024, at * 1024 + 512)).toEqual(data);
  },
};
