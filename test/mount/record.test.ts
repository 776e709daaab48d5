/** `quarry record` on real mounts: what it records, who may, and what it refuses. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { RecordReader } from '../../src/record/record-reader.ts';
import { RecordKind } from '../../src/record/recorded-operation.ts';
import { isMissing } from '../missing.ts';
import { replayedTree } from '../suite/replayed-tree.ts';
import {
  type CommandResult,
  describeQuarry,
  MIB,
  QUARRY,
  quarry,
  shell,
  shellResult,
  until,
  Volume,
} from './harness.ts';

/** Regular files and symbolic links, each once however many names it has: sizes, in order. */
async function sizesIn(volume: Volume): Promise<number[]> {
  const lines = await volume.shell(
    "find . ! -type d -printf '%i %s\\n' | sort -u | cut -d ' ' -f 2 | sort -n",
  );
  return lines.trim().split('\n').map(Number);
}

async function directoriesIn(volume: Volume): Promise<number> {
  return Number(await volume.shell('find . -mindepth 1 -type d | wc -l'));
}

/** The command at work until `end`. */
class Recording {
  readonly #child;
  readonly #ended: Promise<CommandResult>;

  constructor(...words: string[]) {
    const child = spawn(process.execPath, [QUARRY, 'record', ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    this.#ended = new Promise((resolve) => {
      child.once('close', (code) => resolve({ status: code ?? 137, stdout, stderr }));
    });
  }

  end(signal: NodeJS.Signals = 'SIGINT'): Promise<CommandResult> {
    this.#child.kill(signal);
    return this.#ended;
  }

  get ended(): Promise<CommandResult> {
    return this.#ended;
  }
}

async function isRecording(volume: Volume, isBeginning: boolean): Promise<boolean> {
  const { stdout } = await quarry('stat', '--json', volume.directory);
  const { record } = JSON.parse(stdout);
  return record?.isRecording === true && (isBeginning || !record.isBeginning);
}

function isWhole(file: string): boolean {
  const reader = new RecordReader(file);
  try {
    return Array.from(reader.operations()).length > 0 && reader.isWhole;
  } finally {
    reader.close();
  }
}

describeQuarry('record', () => {
  let volume: Volume;
  afterEach(() => volume?.destroy());

  test.skipIf(isMissing('git'))('what programs do is replayed to the same files', async () => {
    volume = await Volume.make({ sizeBytes: 128 * MIB });
    const file = volume.scratch.file('one.quarry-record');
    await volume.shell(`mkdir -p old/deep && for i in $(seq 150); do head -c $((i * 397)) /dev/zero > old/f$i; done
      ln old/f7 old/deep/second; ln -s f9 old/link; truncate -s 50M old/sparse; printf x >> old/sparse`);
    const recording = new Recording(volume.directory, file);
    await until('it records', 10_000, () => isRecording(volume, false));
    await volume.shell(`mkdir a && cp -a old a/copy && mv old a/new && rm a/new/f1? && mv a/new/f20 a/copy/f20
      mv a/copy/f30 ./up; head -c 3M /dev/zero > big; truncate -s 1234567 big; head -c 9k /dev/zero >> big
      ln big a/big2; rm big; rm a/new/f7; sync a/big2; mkdir gone && touch gone/x && rm -r gone
      (cd a && git init -q . && git add copy && git -c user.name=x -c user.email=x@y commit -qm one && rm -rf .git/hooks)
      python3 -c "import sqlite3; c = sqlite3.connect('db'); c.execute('create table t(x)'); c.executemany('insert into t values(?)', [(i,) for i in range(9999)]); c.commit()"`);
    const sizes = await sizesIn(volume);
    const directories = await directoriesIn(volume);
    const { status, stderr } = await recording.end();
    expect(stderr).toMatch(/one\.quarry-record: \d+ operations in [\d.]+ s, [\d.]+ KiB\n$/);
    expect(status).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await replayedTree(file, 128 * MIB)).toEqual({ sizes, directories, refused: 0 });
    expect(await isRecording(volume, true)).toBe(false);
    await volume.unmountAndCheck();
  });

  test('begins in the midst of work, and is whole all the same', async () => {
    volume = await Volume.make({ sizeBytes: 256 * MIB });
    const file = volume.scratch.file('busy.quarry-record');
    await volume.shell(
      `for d in $(seq 60); do mkdir -p t/$((d % 7))/$d; for i in $(seq 60); do echo $i > t/$((d % 7))/$d/$i; done; done`,
    );
    const busy = volume.shell(`for round in $(seq 40); do
        a=$((round % 7)); b=$(((round * 3 + 1) % 7)); d=$(ls t/$a | head -n 1)
        [ -n "$d" ] && mv t/$a/$d t/$b/moved-$round && mv t/$b/moved-$round/1 t/$a/single-$round
        rm -f t/$b/moved-$round/2*; head -c $((round * 1000)) /dev/zero > t/$b/new-$round; ln t/$b/new-$round t/$a/link-$round
        mkdir t/$a/made-$round; cp t/$b/new-$round t/$a/made-$round/copy; mv -f t/$a/single-$round t/$b/new-$round
      done`);
    const recording = new Recording(volume.directory, file);
    await busy;
    await until('all is told', 20_000, () => isRecording(volume, false));
    await volume.shell('rm -r t/3; echo more >> t/4/last');
    const [sizes, directories] = [await sizesIn(volume), await directoriesIn(volume)];
    expect((await recording.end('SIGTERM')).status).toBe(0);
    expect(await replayedTree(file, 256 * MIB)).toEqual({ sizes, directories, refused: 0 });
  });

  test('from the mount on, with names as hashes, until the unmount', async () => {
    volume = await Volume.make({ kind: 'loop', sizeBytes: 64 * MIB }, { mounted: false });
    const file = volume.scratch.file('named.quarry-record');
    const options = ['-o', `record=${file},record-hash-names`];
    await volume.mount(...options);
    await volume.shell('mkdir secret-place && echo 1 > secret-place/secret-name && echo 2 > secret-name');
    const [sizes, directories] = [await sizesIn(volume), await directoriesIn(volume)];
    await volume.unmountAndCheck();
    // The daemon ends it when the mount is gone, which is what an unmount waits for at most.
    await until('the record is whole', 10_000, () => isWhole(file));
    const reader = new RecordReader(file);
    const names = Array.from(reader.operations(), ({ kind, name }) =>
      kind === RecordKind.create ? Buffer.from(name).toString() : '',
    ).filter((name) => name !== '');
    expect(reader.isWhole).toBe(true);
    expect(reader.description.names).toBe('hashed');
    reader.close();
    expect(names).toHaveLength(3);
    expect(new Set(names).size).toBe(2);
    for (const name of names) expect(name).toMatch(/^[0-9a-f]{11}$/);
    expect(await replayedTree(file, 64 * MIB)).toEqual({ sizes, directories, refused: 0 });
    const before = readFileSync(file);
    await expect(volume.mount(...options)).rejects.toThrow(/is there already/);
    expect(readFileSync(file)).toEqual(before);
    await volume.mount('-o', `record=${file},record-overwrite`);
    await volume.unmountAndCheck();
    expect(readFileSync(file)).not.toEqual(before);
  });

  test('what cannot be is refused in one line, and nothing is written', async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    const refused = async (...words: string[]) => {
      const { status, stdout, stderr } = await quarry('record', ...words);
      expect([status, stdout]).toEqual([words.includes('soon') ? 2 : 1, '']);
      expect(stderr).toMatch(/^quarry: [^\n]+\n$/);
      return stderr;
    };
    const { directory, scratch, image } = volume;
    expect(await refused(directory, `${directory}/inside.quarry-record`)).toContain('lies on the mount');
    expect(await volume.shell('ls -A')).toBe('');
    const other = scratch.file('other');
    writeFileSync(other, 'something else\n');
    expect(await refused(directory, other)).toContain('is there already');
    expect(await refused(directory, other, '--force')).toContain('no record');
    expect(readFileSync(other, 'utf8')).toBe('something else\n');
    expect(await refused(directory, image, '--force')).toContain('no record');
    expect(await refused(directory, '/dev/null', '--force')).toContain('no record');
    await shell(`ln -s ${scratch.file('target')} ${scratch.file('link')}`);
    await refused(directory, scratch.file('link'), '--force');
    expect(existsSync(scratch.file('target'))).toBe(false);
    expect(await refused(directory, '/proc/nowhere/x')).toContain('does not exist');
    expect(await refused('/proc/self', scratch.file('x'))).toContain('not a mountpoint');
    expect(await refused(directory, scratch.file('x'), '--seconds', 'soon')).toContain('--seconds');
    expect(existsSync(scratch.file('x'))).toBe(false);
    await volume.unmountAndCheck();
  });

  test('only root and the owner of the daemon may record', async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    const file = '/tmp/quarry-record-of-nobody';
    const words = `'${process.execPath}' '${QUARRY}' record '${volume.directory}' ${file} --seconds 1`;
    const result = await shellResult(`setpriv --reuid=65534 --regid=65534 --clear-groups ${words}`);
    expect(result.stderr).toBe("quarry: only root and the daemon's owner may ask for 'record'\n");
    expect(result.status).toBe(1);
    expect(existsSync(file)).toBe(false);
    expect(await isRecording(volume, true)).toBe(false);
  });

  test('one record at a time, for as long as it was asked for', async () => {
    volume = await Volume.make({ sizeBytes: 64 * MIB });
    const file = volume.scratch.file('first.quarry-record');
    const recording = new Recording(volume.directory, file, '--seconds', '3', '--json');
    await until('it records', 10_000, () => isRecording(volume, false));
    const second = await quarry('record', volume.directory, volume.scratch.file('second.quarry-record'));
    expect(second.stderr).toMatch(/recorded already, into .*first\.quarry-record\n$/);
    expect(second.status).toBe(1);
    await volume.shell('echo 1 > one');
    const { status, stdout } = await recording.ended;
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ path: file, operations: expect.any(Number) });
  });

  test('a full disk ends the record with a line in the log, and not the mount', async () => {
    volume = await Volume.make({ sizeBytes: 128 * MIB });
    const small = volume.scratch.file('small');
    await shell(`mkdir ${small} && mount -t tmpfs -o size=16k none ${small}`);
    try {
      const recording = new Recording(volume.directory, `${small}/full.quarry-record`);
      await until('it records', 10_000, () => isRecording(volume, false));
      await volume.shell(`python3 -c "
import os
for i in range(6000):
    open('%x-%d' % (hash(str(i)) & 0xffffffffffffffff, i), 'w').close()"`);
      const { status, stderr } = await recording.ended;
      expect(status).toBe(1);
      expect(stderr).toMatch(/ended early: .*ENOSPC/);
      expect(await volume.shell('ls | wc -l; echo 1 > one; cat one')).toBe('6000\n1\n');
      expect((await quarry('stat', '--log', volume.directory)).stdout).toMatch(
        /full\.quarry-record ends here.*ENOSPC/,
      );
    } finally {
      await shell(`umount ${small}`);
    }
    await volume.unmountAndCheck();
  });
});
