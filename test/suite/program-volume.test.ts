/** A volume in a program: what it is kept on, who may have it, how it ends, and what Node has not. */
import { execFileSync } from 'node:child_process';
import {
  constants,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import type * as NodePromises from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { packageVersion } from '../../src/common/package-version.ts';
import { sealBlock } from '../../src/fs/format/block-header.ts';
import { blockViewOf } from '../../src/fs/format/block-view.ts';
import { BlockHeader } from '../../src/fs/format/format.ts';
import {
  type BlockStore,
  check,
  format,
  type OpenVolumeOptions,
  openVolume,
  type ProgramVolume,
  type VolumeTarget,
} from '../../src/quarryfs.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const SIZE = 16 * 2 ** 20;
const { O_DSYNC, O_RDWR, O_SYNC } = constants;
const folder = mkdtempSync(join(tmpdir(), 'quarry-program-'));
const file = (name: string) => join(folder, name);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Answers late, and in another order than it was asked. */
class SlowStore implements BlockStore {
  readonly sizeBytes = SIZE;
  readonly sectorBytes = 4096;
  readonly bytes = new Uint8Array(SIZE);
  closed = 0;
  writes = 0;
  /** What every write and flush fails with. */
  fault: string | undefined;
  #turn = 0;

  async read(into: Uint8Array, offsetBytes: number): Promise<void> {
    await this.#later();
    into.set(this.bytes.subarray(offsetBytes, offsetBytes + into.length));
  }

  async write(from: Uint8Array, offsetBytes: number): Promise<void> {
    this.writes++;
    await this.#later();
    if (this.fault !== undefined) throw Object.assign(new Error('refused'), { code: this.fault });
    this.bytes.set(from, offsetBytes);
  }

  async flush(): Promise<void> {
    await this.#later();
    if (this.fault !== undefined) throw new Error(this.fault);
  }

  close(): void {
    this.closed++;
  }

  async #later(): Promise<void> {
    for (let left = (this.#turn++ * 7) % 5; left > 0; left--) await new Promise(setImmediate);
  }
}

async function filled(volume: ProgramVolume): Promise<void> {
  await volume.mkdir('/a/b', { recursive: true });
  await volume.writeFile('/a/b.txt', 'hello');
  await volume.writeFile('/a/b/large', Buffer.alloc(2_100_000, 'large '));
  await volume.symlink('b.txt', '/a/link');
  await volume.link('/a/b.txt', '/hard');
  await volume.setxattr('/a/b.txt', 'user.note', 'kept');
  await volume.utimes('/a/b.txt', 1000, 2000.5);
}

async function expectFilled(volume: ProgramVolume): Promise<void> {
  expect((await volume.readdir('/', { recursive: true })).sort()).toEqual(
    ['a', 'a/b', 'a/b.txt', 'a/b/large', 'a/link', 'hard'].sort(),
  );
  expect(await volume.readFile('/a/link', 'utf8')).toBe('hello');
  expect((await volume.readFile('/a/b/large')).equals(Buffer.alloc(2_100_000, 'large '))).toBe(true);
  expect(await volume.stat('/hard')).toMatchObject({ nlink: 2, size: 5, mtimeMs: 2_000_500 });
  expect((await volume.getxattr('/hard', 'user.note')).toString()).toBe('kept');
}

const slow = new SlowStore();
const KINDS: [string, VolumeTarget, OpenVolumeOptions][] = [
  ['an image by the addon', file('native.img'), { engine: 'native' }],
  ['an image by node:fs', file('fs.img'), { engine: 'fs' }],
  ['a URL', new URL(`file://${file('url.img')}`), {}],
  ['an array of bytes', Buffer.alloc(SIZE + 100), {}],
  ['a device of the program', slow, {}],
];

describe.each(KINDS)('on %s', (_, source, options) => {
  test('what is written is there when it is opened again, and all is sound', async () => {
    const uuid = '01234567-89ab-4def-8123-456789abcdef';
    const made = await format(source, { size: SIZE, label: 'here', uuid, ...options });
    expect(made).toEqual({ uuid, sizeBytes: SIZE, blockBytes: 4096 });
    const volume = await openVolume(source, options);
    expect(volume).toMatchObject({ label: 'here', uuid, blockBytes: 4096, readOnly: false });
    await filled(volume);
    await expectFilled(volume);
    await volume.close();
    const found = await check(source, options);
    expect(found).toMatchObject({ clean: true, state: 'clean', problemCount: 0 });
    const again = await openVolume(source, { ...options, readOnly: true });
    await expectFilled(again);
    expect(again.readOnly).toBe(true);
    await expect(again.writeFile('/new', 'x')).rejects.toMatchObject({ code: 'EROFS' });
    await expect(again.open('/hard', 'r+')).rejects.toMatchObject({ code: 'EROFS' });
    await expect(again.unlink('/hard')).rejects.toMatchObject({ code: 'EROFS' });
    await again.close();
  });
});

test('a device of the program is closed with a volume, and not by format and check', () => {
  expect(slow.closed).toBe(2);
});

describe('who may have an image', () => {
  const image = file('shared.img');

  test.each(['native', 'fs'] as const)('by %s: one who writes, or many who read', async (engine) => {
    await format(image, { size: SIZE, force: true, engine });
    const writer = await openVolume(image, { engine });
    await writer.writeFile('/f', engine);
    for (const readOnly of [true, false]) {
      const refused = openVolume(image, { engine, readOnly });
      await expect(refused).rejects.toMatchObject({ code: 'EBUSY', message: expect.stringContaining(image) });
    }
    await expect(format(image, { force: true, engine })).rejects.toMatchObject({ code: 'EBUSY' });
    await expect(check(image, { engine })).rejects.toMatchObject({ code: 'EBUSY' });
    await writer.close();
    const before = readFileSync(image);
    const readers = await Promise.all([1, 2, 3].map(() => openVolume(image, { engine, readOnly: true })));
    for (const reader of readers) expect(await reader.readFile('/f', 'utf8')).toBe(engine);
    await expect(openVolume(image, { engine })).rejects.toMatchObject({ code: 'EBUSY' });
    expect(await check(image, { engine })).toMatchObject({ clean: true });
    for (const reader of readers) await reader.close();
    expect(readFileSync(image).equals(before)).toBe(true);
  });

  test('two volumes in one process know nothing of each other', async () => {
    const sources = [Buffer.alloc(SIZE), file('second.img')];
    const volumes: ProgramVolume[] = [];
    for (const source of sources) {
      await format(source, { size: SIZE });
      volumes.push(await openVolume(source));
    }
    await Promise.all(
      volumes.flatMap((volume, index) =>
        Array.from({ length: 50 }, (_, number) => volume.writeFile(`/${number}`, `${index} ${number}`)),
      ),
    );
    const [first, second] = volumes;
    await first?.close();
    expect(await second?.readFile('/7', 'utf8')).toBe('1 7');
    await expect(first?.readFile('/7')).rejects.toMatchObject({ code: 'EBADF' });
    await second?.close();
  });
});

describe('what cannot be opened or made', () => {
  test.each([
    ['what is not there', file('missing.img'), 'ENOENT', /does not exist/],
    ['a directory', folder, 'EISDIR', /is a directory/],
    ['what is no volume', join(ROOT, 'package.json'), 'EINVAL', /is not a Quarry volume/],
    ['memory that holds none', new Uint8Array(SIZE), '', /volume/],
  ])('openVolume of %s', async (_, source, code, message) => {
    const refused = await openVolume(source).catch((thrown: unknown) => thrown);
    expect(Object(refused).code ?? '').toBe(code);
    expect(Object(refused).message).toMatch(message);
  });

  test('format says in one line what it does not do, and does nothing', async () => {
    const image = file('kept.img');
    await format(image, { size: SIZE });
    const before = readFileSync(image);
    const wrong: [object, RegExp][] = [
      [{}, /holds a Quarry volume: use --force/],
      [{ size: 4096, force: true }, /too small/],
      [{ size: -1, force: true }, /size -1/],
      [{ blockSize: 1000, force: true }, /power of two/],
      [{ label: 'x'.repeat(65), force: true }, /label has 65 bytes/],
      [{ uuid: 'x', force: true }, /is not an id/],
      [{ features: 'nonsense', force: true }, /nonsense/],
    ];
    for (const [options, message] of wrong) await expect(format(image, options)).rejects.toThrow(message);
    expect(readFileSync(image).equals(before)).toBe(true);
    await expect(format(file('none.img'))).rejects.toThrow(/give --size/);
    await expect(format(7 as unknown as string)).rejects.toThrow(TypeError);
    await expect(format({ sizeBytes: 4096 } as unknown as BlockStore)).rejects.toThrow(/function read/);
    await expect(format(new Uint8Array(100))).rejects.toThrow(/too small/);
  });

  test('options that are none', async () => {
    const bytes = new Uint8Array(SIZE);
    await format(bytes);
    await expect(openVolume(bytes, { policy: 'nonsense' })).rejects.toThrow(/unknown allocator 'nonsense'/);
    await expect(openVolume(bytes, { uid: -1 })).rejects.toMatchObject({ code: 'ERR_OUT_OF_RANGE' });
    await expect(openVolume(bytes, { umask: 'x' as unknown as number })).rejects.toThrow(TypeError);
  });
});

async function onBytes<T>(
  use: (volume: ProgramVolume, bytes: Uint8Array) => Promise<T>,
  options: OpenVolumeOptions = {},
): Promise<T> {
  const bytes = new Uint8Array(SIZE);
  await format(bytes);
  const volume = await openVolume(bytes, options);
  try {
    return await use(volume, bytes);
  } finally {
    await volume.close();
  }
}

describe('an end', () => {
  test('closes what is open, is said once, and lets nothing through after it', async () => {
    await onBytes(async (volume) => {
      const handle = await volume.open('/f', 'w');
      const writing = handle.write('before the end');
      const closing = volume.close();
      await Promise.all([writing, closing, volume.close()]);
      expect(handle.fd).toBe(-1);
      const late = [volume.stat('/f'), volume.writeFile('/g', ''), volume.sync(), volume.mkdir('/d')];
      for (const one of late)
        await expect(one).rejects.toMatchObject({ code: 'EBADF', message: /the volume is closed/ });
    });
  });

  test('by `await using`', async () => {
    const bytes = new Uint8Array(SIZE);
    await format(bytes);
    {
      await using volume = await openVolume(bytes);
      await using handle = await volume.open('/f', 'w');
      await handle.write('disposed of');
    }
    expect(await check(bytes)).toMatchObject({ clean: true, state: 'clean' });
  });

  test('that did not come is a crash: what was synced is there', async () => {
    await onBytes(async (volume, bytes) => {
      await volume.writeFile('/synced', 'durable', { flush: true });
      await volume.rename('/synced', '/renamed');
      await volume.sync();
      const crashed = bytes.slice();
      await volume.writeFile('/renamed', 'later');
      expect(await check(crashed)).toMatchObject({ clean: true, state: 'dirty' });
      const before = crashed.slice();
      const reader = await openVolume(crashed, { readOnly: true });
      expect(await reader.readFile('/renamed', 'utf8')).toBe('durable');
      await reader.close();
      expect(Buffer.compare(crashed, before)).toBe(0);
      const lines: string[] = [];
      const after = await openVolume(crashed, { log: (line) => lines.push(line) });
      expect(await after.readFile('/renamed', 'utf8')).toBe('durable');
      expect(await after.readdir('/')).toEqual(['renamed']);
      await after.close();
    });
  });

  test('of a write that was answered early changes nothing that was set after it', async () => {
    const store = new SlowStore();
    await format(store);
    const volume = await openVolume(store, { uid: 1000, umask: 0 });
    await volume.writeFile('/f', 'x'.repeat(10_000));
    const { mtimeMs, ctimeMs } = await volume.stat('/f');
    await volume.sync();
    expect(await volume.stat('/f')).toMatchObject({ mtimeMs, ctimeMs });
    await volume.writeFile('/f', 'y'.repeat(20_000));
    await volume.utimes('/f', 1, 2);
    await volume.chmod('/f', 0o4755);
    await volume.setxattr('/f', 'security.capability', Buffer.alloc(20, 1));
    await volume.sync();
    expect(await volume.stat('/f')).toMatchObject({ mtimeMs: 2000, mode: 0o104755, size: 20_000 });
    expect(await volume.listxattr('/f')).toEqual(['security.capability']);
    await volume.appendFile('/f', 'z'.repeat(20_000));
    expect((await volume.stat('/f')).mode).toBe(0o100755);
    expect(await volume.listxattr('/f')).toEqual([]);
    await volume.close();
  });

  test.each([
    ['datasync() leaves the times', 'r+', 'datasync', 1],
    ['sync() does not', 'r+', 'sync', 2],
    ['O_DSYNC leaves the times', O_RDWR | O_DSYNC, undefined, 1],
    ['O_SYNC does not', O_RDWR | O_SYNC, undefined, 2],
  ] as const)('of data within a file: %s', async (_, flags, sync, writes) => {
    const store = new SlowStore();
    await format(store);
    await using volume = await openVolume(store, { commitSeconds: 0 });
    await volume.writeFile('/f', 'x'.repeat(8192));
    await volume.sync();
    store.writes = 0;
    const handle = await volume.open('/f', flags);
    await handle.write('y'.repeat(8192), 0);
    if (sync !== undefined) await handle[sync]();
    await handle.close();
    expect(Math.min(store.writes, 2)).toBe(writes);
  });

  test('on a device that fails says so', async () => {
    const store = new SlowStore();
    await format(store);
    const volume = await openVolume(store);
    await volume.writeFile('/f', 'x'.repeat(10_000));
    await volume.sync();
    store.fault = 'ENOSPC';
    const handle = await volume.open('/f', 'r+');
    await handle.write('y'.repeat(10_000));
    await expect(handle.sync()).rejects.toMatchObject({ code: 'ENOSPC', syscall: 'fsync' });
    await expect(volume.close()).rejects.toMatchObject({ syscall: 'close' });
    expect(store.closed).toBe(1);
  });

  test('waits for what is under way, which is there then', async () => {
    const bytes = new Uint8Array(SIZE);
    await format(bytes);
    const volume = await openVolume(bytes);
    await volume.writeFile('/from', Buffer.alloc(3_000_000, 'from '));
    const works = [
      volume.copyFile('/from', '/to'),
      volume.mkdir('/d'),
      volume.appendFile('/log', 'line'),
      volume.truncate('/from', 10),
    ];
    const answers = Promise.allSettled(works);
    await volume.close();
    const [copied, made, logged] = await answers;
    const again = await openVolume(bytes);
    // What was answered well is there; what was not says why.
    if (copied?.status === 'fulfilled') expect((await again.stat('/to')).size).toBe(3_000_000);
    else expect(copied?.reason).toMatchObject({ code: 'EBADF' });
    expect(made?.status).toBe('fulfilled');
    expect(await again.exists('/d')).toBe(true);
    if (logged?.status === 'fulfilled') expect(await again.readFile('/log', 'utf8')).toBe('line');
    await again.close();
    expect(await check(bytes)).toMatchObject({ clean: true, state: 'clean' });
  });
});

describe('a volume that is not to be believed', () => {
  /** A closed volume; `damage` may change a block of metadata that has these bytes, and seals it. */
  async function damaged(mark: Buffer, damage: (bytes: Uint8Array, at: number) => void): Promise<Uint8Array> {
    const bytes = new Uint8Array(SIZE);
    await format(bytes);
    const volume = await openVolume(bytes);
    await volume.mkdir('/d');
    await volume.writeFile(Buffer.concat([Buffer.from('/d/'), mark]), 'x');
    await volume.close();
    const all = Buffer.from(bytes.buffer);
    for (let found = all.indexOf(mark); found >= 0; found = all.indexOf(mark, found + 1)) {
      damage(bytes, found);
      const start = Math.floor(found / 4096) * 4096;
      const block = blockViewOf(bytes.subarray(start, start + 4096));
      sealBlock(block, 4096, BlockHeader.sequence.get(block.view, 0));
    }
    return bytes;
  }

  test('has no names that lead out of a directory', async () => {
    const mark = Buffer.from([0xf7, 0xf8]);
    const bytes = await damaged(mark, (all, at) => all.fill(0x2e, at, at + 2));
    const volume = await openVolume(bytes);
    const refused = { code: 'EUCLEAN' };
    await expect(volume.readdir('/d')).rejects.toMatchObject(refused);
    await expect(volume.readdir('/', { recursive: true })).rejects.toMatchObject(refused);
    await expect(volume.rm('/d', { recursive: true })).rejects.toMatchObject(refused);
    await expect(volume.cp('/d', '/e', { recursive: true })).rejects.toMatchObject(refused);
    expect(await volume.exists('/d')).toBe(true);
    await volume.close();
  });

  test('is said to be damaged, and takes no changes from then on', async () => {
    const mark = Buffer.from('a name to be found');
    const bytes = await damaged(mark, (all, at) => all.fill(0x2f, at, at + 1));
    const volume = await openVolume(bytes);
    await expect(volume.readdir('/d')).rejects.toMatchObject({
      code: 'EUCLEAN',
      syscall: 'scandir',
      message: expect.stringContaining('block'),
    });
    await expect(volume.writeFile('/new', '')).rejects.toMatchObject({ code: 'EROFS' });
    await volume.close();
  });
});

describe('what a program may choose', () => {
  test('whose the files are, and their modes', async () => {
    await onBytes(
      async (volume) => {
        await volume.writeFile('/f', '');
        await volume.mkdir('/d', 0o777);
        expect(await volume.stat('/f')).toMatchObject({ uid: 1234, gid: 99, mode: 0o100640 });
        expect(await volume.stat('/d')).toMatchObject({ uid: 1234, mode: 0o40750 });
        await volume.chmod('/f', 0o440);
        await expect(volume.access('/f', 2)).rejects.toMatchObject({ code: 'EACCES' });
        await volume.access('/f', 4);
      },
      { uid: 1234, gid: 99, umask: 0o027 },
    );
  });

  test('where blocks go', async () => {
    await onBytes(
      async (volume) => {
        await volume.writeFile('/f', Buffer.alloc(100_000));
        expect((await volume.stat('/f')).blocks).toBeGreaterThan(0);
      },
      { policy: 'best-fit' },
    );
    let asked = 0;
    const mine = {
      name: 'mine',
      create: () => ({
        allocate: () => {
          asked++;
          return undefined;
        },
      }),
    };
    const said: string[] = [];
    await onBytes((volume) => volume.writeFile('/f', Buffer.alloc(100_000)), {
      policy: mine as unknown as string,
      log: (line) => said.push(line),
    });
    // It is asked, answers nothing of use, and the built-in policy takes over.
    expect(asked).toBeGreaterThan(0);
    expect(said.join('\n')).toMatch(/mine/);
  });
});

describe('beside fs.promises', () => {
  test('errors have the words of Node', async () => {
    await onBytes(async (volume) => {
      const message = async (work: Promise<unknown>) => Object(await work.catch((thrown) => thrown)).message;
      expect(await message(volume.readFile('/no'))).toBe("ENOENT: no such file or directory, open '/no'");
      expect(await message(volume.rename('/no', '/new'))).toBe(
        "ENOENT: no such file or directory, rename '/no' -> '/new'",
      );
      expect(await message(volume.rmdir('/'))).toMatch(/^EBUSY: resource busy or locked, rmdir '\/'$/);
    });
  });

  test('extended attributes', async () => {
    await onBytes(async (volume) => {
      await volume.writeFile('/f', '');
      await volume.symlink('f', '/l');
      await volume.setxattr('/l', 'user.one', 'first');
      await volume.setxattr('/f', 'user.two', Uint8Array.of(0, 255), 'create');
      expect(await volume.listxattr('/f')).toEqual(['user.one', 'user.two']);
      expect(await volume.llistxattr('/l')).toEqual([]);
      expect([...(await volume.getxattr('/f', 'user.two'))]).toEqual([0, 255]);
      const failures: [Promise<unknown>, string][] = [
        [volume.setxattr('/f', 'user.one', '', 'create'), 'EEXIST'],
        [volume.setxattr('/f', 'user.none', '', 'replace'), 'ENODATA'],
        [volume.getxattr('/f', 'user.none'), 'ENODATA'],
        [volume.lsetxattr('/l', 'user.one', ''), 'EPERM'],
        [volume.lgetxattr('/l', 'user.one'), 'ENODATA'],
        [volume.setxattr('/f', 'other.name', ''), 'ENOTSUP'],
        [volume.setxattr('/f', 'user.', ''), 'EINVAL'],
        [volume.removexattr('/f', 'user.none'), 'ENODATA'],
        [volume.getxattr('/none', 'user.one'), 'ENOENT'],
        [volume.getxattr('/f', 7 as unknown as string), 'ERR_INVALID_ARG_TYPE'],
      ];
      for (const [work, code] of failures) await expect(work).rejects.toMatchObject({ code });
      await volume.removexattr('/f', 'user.one');
      expect(await volume.listxattr('/f')).toEqual(['user.two']);
    });
  });

  test('special files, times to the nanosecond, and where data is', async () => {
    await onBytes(
      async (volume) => {
        await volume.mknod('/pipe', 0o010640);
        await volume.mknod('/null', 0o020666, 0x103);
        expect(await volume.stat('/null')).toMatchObject({ rdev: 0x103, mode: 0o020666 });
        expect((await volume.stat('/pipe')).isFIFO()).toBe(true);
        await expect(volume.open('/pipe')).rejects.toMatchObject({ code: 'ENXIO' });
        await expect(volume.mknod('/file', 0o100644)).rejects.toMatchObject({ code: 'EINVAL' });
        await expect(volume.mknod('/null', 0o010644)).rejects.toMatchObject({ code: 'EEXIST' });
        await volume.utimes('/null', -1n, 1_234_567_890_123_456_789n);
        const { atimeNs, mtimeNs } = await volume.stat('/null', { bigint: true });
        expect([atimeNs, mtimeNs]).toEqual([-1n, 1_234_567_890_123_456_789n]);
        await volume.utimes('/null', -1.5, 2);
        expect((await volume.stat('/null')).atimeMs).toBe(-1500);
        const handle = await volume.open('/f', 'w+');
        await handle.write('x', 1_000_000);
        await handle.truncate(2_000_000);
        const start = await handle.seek(0, 'data');
        expect([start > 900_000, await handle.seek(start, 'data')]).toEqual([true, start]);
        expect([await handle.seek(0, 'hole'), await handle.seek(1_500_000, 'data')]).toEqual([0, -1]);
        const { bytesRead } = await handle.read(Buffer.alloc(4), 0, 4, 1_000_000n);
        expect(bytesRead).toBe(4);
        await handle.close();
      },
      { umask: 0 },
    );
  });

  test('renames that exchange, or do not replace', async () => {
    await onBytes(async (volume) => {
      await volume.writeFile('/a', 'a');
      await volume.writeFile('/b', 'b');
      await volume.rename('/a', '/b', { exchange: true });
      expect(await volume.readFile('/a', 'utf8')).toBe('b');
      await expect(volume.rename('/a', '/b', { noReplace: true })).rejects.toMatchObject({ code: 'EEXIST' });
    });
  });

  test('functions may be taken out of it', async () => {
    await onBytes(async ({ writeFile, readFile, exists, stat }) => {
      await writeFile('/f', 'taken');
      expect(await readFile('/f', 'utf8')).toBe('taken');
      expect([await exists('/f'), await exists('/g'), (await stat('/f')).isFile()]).toEqual([
        true,
        false,
        true,
      ]);
    });
  });

  test('streams of paths', async () => {
    await onBytes(async (volume) => {
      const { pipeline } = await import('node:stream/promises');
      const content = Buffer.alloc(1_000_003, 'stream ');
      await pipeline(
        [content.subarray(0, 600_000), content.subarray(600_000)],
        volume.createWriteStream('/f'),
      );
      await pipeline(volume.createReadStream('/f'), volume.createWriteStream('/g', { flush: true }));
      expect((await volume.readFile('/g')).equals(content)).toBe(true);
      await expect(volume.createReadStream('/none').toArray()).rejects.toMatchObject({ code: 'ENOENT' });
      const parts = await volume.createReadStream('/f', { start: 7, end: 13, encoding: 'utf8' }).toArray();
      expect(parts.join('')).toBe('stream ');
      const controller = new AbortController();
      const reading = volume.createReadStream('/f', { signal: controller.signal }).toArray();
      controller.abort();
      await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
    });
  });

  test('a copy keeps holes, and a directory is no source of one', async () => {
    await onBytes(async (volume) => {
      const handle = await volume.open('/holes', 'w');
      await handle.write('end', 4_000_000);
      await handle.truncate(8_000_000);
      await handle.close();
      await volume.copyFile('/holes', '/copy');
      const [one, other] = [await volume.stat('/holes'), await volume.stat('/copy')];
      expect([other.size, other.blocks]).toEqual([8_000_000, one.blocks]);
      expect((await volume.readFile('/copy')).indexOf('end')).toBe(4_000_000);
      await volume.mkdir('/d');
      await expect(volume.copyFile('/d', '/copy')).rejects.toMatchObject({ code: 'EISDIR' });
      expect((await volume.stat('/copy')).size).toBe(8_000_000);
    });
  });

  test('a copy of what becomes shorter meanwhile ends there', async () => {
    await onBytes(async (volume) => {
      const lengths = new Set<number>();
      for (let moments = 0; moments < 80; moments++) {
        await volume.writeFile('/from', Buffer.alloc(30_000, 1));
        await volume.sync();
        const copying = volume.copyFile('/from', '/to');
        for (let moment = 0; moment < moments; moment++) await undefined;
        await volume.truncate('/from', 0);
        await copying;
        lengths.add((await volume.stat('/to')).size);
      }
      expect([...lengths].sort()).toEqual([0, 30_000]);
    });
  });

  test('it can be passed where fs.promises is wanted', () => {
    // A handle of ours is none of Node's, and what answers texts or bytes has more forms there.
    type Shared =
      | ('access' | 'chmod' | 'chown' | 'copyFile' | 'lchown' | 'link' | 'lstat' | 'lutimes' | 'mkdir')
      | ('rename' | 'rm' | 'rmdir' | 'stat' | 'symlink')
      | ('truncate' | 'unlink' | 'utimes');
    // A question of types alone.
    const shaped = (volume: ProgramVolume): Pick<typeof NodePromises, Shared> => volume;
    expect(shaped).toBeTypeOf('function');
  });
});

test('without the addon, all of it works by node:fs', () => {
  const copy = file('without-addon');
  mkdirSync(copy);
  cpSync(join(ROOT, 'dist'), join(copy, 'dist'), {
    recursive: true,
    filter: (path) => !/\.(map|d\.ts)$/.test(path),
  });
  cpSync(join(ROOT, 'package.json'), join(copy, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  const script = `
    import { check, format, openVolume } from ${JSON.stringify(join(copy, 'dist/quarryfs.js'))};
    const image = ${JSON.stringify(join(copy, 'v.img'))};
    await format(image, { size: ${SIZE} });
    const volume = await openVolume(image);
    await volume.mkdir('/a/b', { recursive: true });
    await volume.writeFile('/a/b/c', 'x'.repeat(1e6));
    await volume.close();
    const again = await openVolume(image, { readOnly: true });
    console.log((await again.readFile('/a/b/c')).length, (await check(image)).clean);
    await again.close();
    await openVolume(image, { engine: 'native' }).catch(({ message }) => console.log(message));
  `;
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  expect(said).toMatch(/^1000000 true\n.*the native addon is not built: run 'npm install'/);
  const quarry = (...words: string[]) =>
    execFileSync(process.execPath, [join(copy, 'dist/cli/main.js'), ...words], {
      encoding: 'utf8',
      cwd: copy,
    });
  expect(quarry('--version')).toBe(`${packageVersion()}\n`);
  expect(quarry('help')).toContain('Usage: quarry');
  quarry('mkfs', 'w.img', '--size', '16M');
  quarry('put', 'package.json', 'w.img:/');
  quarry('cp', 'w.img:/package.json', 'v.img:/');
  expect(quarry('ls', 'v.img')).toBe('a\npackage.json\n');
  expect(quarry('cat', 'v.img:/package.json')).toBe(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  expect(quarry('fsck', '-y', 'w.img')).toContain('clean');
  expect(JSON.parse(quarry('info', '--json', 'w.img'))).toMatchObject({ sizeBytes: SIZE });
  for (const entry of ['aio/file/open-file', 'lab/lab', 'alloc/allocator'])
    execFileSync(process.execPath, ['-e', `import(${JSON.stringify(join(copy, `dist/${entry}.js`))})`]);
  // And with it the checksums are the same.
  const image = join(copy, 'v.img');
  expect(statSync(image).size).toBe(SIZE);
  return expect(check(image)).resolves.toMatchObject({ clean: true, state: 'clean' });
});
