/**
 * The addon takes any argument: what it cannot use is an error that can be caught, and never the
 * end of the process.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { native } from '../../src/native.ts';

const CHILD = fileURLToPath(new URL('native-arguments-child.mjs', import.meta.url));

function child(...names: string[]) {
  return spawnSync(process.execPath, ['--expose-gc', CHILD, ...names], { encoding: 'utf8', timeout: 60_000 });
}

const { names, known }: { names: string[]; known: string[] } = JSON.parse(child().stdout);

describe('wrong arguments', () => {
  test('are known for everything that the addon exports', () => {
    expect([...known].sort()).toEqual([...names].sort());
  });

  // In a few processes: each takes a moment to start.
  const groups = Array.from({ length: 3 }, (_, group) => names.filter((_, at) => at % 3 === group));
  test.concurrent.each(groups.map((group) => [group.join(' '), group] as const))('%s', (_, group) => {
    const { status, signal, stdout, stderr } = child(...group);
    const last = stderr.trim().split('\n').slice(-4).join('\n');
    expect({ status, signal, stdout, last: status === 0 ? '' : last }).toEqual({
      status: 0,
      signal: null,
      stdout: 'end\n',
      last: '',
    });
  });

  test('of the kinds that system calls would misread', () => {
    expect(() => native.openDevice('/dev/null\0x', {})).toThrow('path must not contain a null character');
    expect(() => native.crc32c(new Uint8Array(4), 0, 5, 0)).toThrow(RangeError);
    expect(() => native.crc32c(new Uint8Array(4), 3, 2, 0)).toThrow(RangeError);
    expect(() => Reflect.apply(native.closeDevice, native, ['3'])).toThrow(RangeError);
    expect(() => Reflect.construct(native.AlignedMemory, [4097.5])).toThrow(RangeError);
  });
});
