/** What a name may be. */
import { expect } from 'vitest';
import { contentOf, exists, list, make, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const names = new Subject('names');

/** All bytes but NUL and '/', and sequences that are no UTF-8, or the same letter in two ways. */
function oddNames(): string[] {
  const single = Array.from({ length: 255 }, (_, at) => String.fromCharCode(at + 1));
  const long = ['\xff\xfe\xfd', '\xc3\x28', '\xc3\xa9', 'e\xcc\x81', '...', 'a\nb', 'n'.repeat(255)];
  return [...single.filter((name) => name !== '/' && name !== '.'), ...long, '\xf0'.repeat(255)];
}

names.case('are any bytes, and stay as they are', async (fs) => {
  const all = oddNames();
  for (const name of all) await make(fs, name, name);
  expect(await list(fs, '.')).toEqual([...all].sort());
  for (const name of all) expect(await contentOf(fs, name)).toBe(name);
  for (const name of all) await fs.unlink(name);
  expect(await list(fs, '.')).toEqual([]);
});

names.case('differ in case', async (fs) => {
  await make(fs, 'Name', 'large');
  await make(fs, 'name', 'small');
  expect(await contentOf(fs, 'Name')).toBe('large');
});

names.case('have up to 255 bytes; a longer one is ENAMETOOLONG, also to look for', async (fs) => {
  await make(fs, 'n'.repeat(255));
  await refuses('ENAMETOOLONG', make(fs, 'n'.repeat(256)));
  await refuses('ENAMETOOLONG', fs.status('n'.repeat(256)));
  await refuses('ENAMETOOLONG', fs.status(`${'n'.repeat(256)}/below`));
});

names.case(
  'with a slash are refused: EINVAL',
  async (fs) => {
    await fs.mkdir('a');
    await refuses('EINVAL', fs.makeNamed('a/b'));
    await refuses('EINVAL', fs.makeNamed('/'));
    expect(await list(fs, 'a')).toEqual([]);
  },
  'slash in names',
);

names.case(
  'with a NUL are refused: EINVAL',
  async (fs) => {
    await refuses('EINVAL', fs.makeNamed('a\0b'));
    await refuses('EINVAL', fs.makeNamed('\0'));
    expect(await list(fs, '.')).toEqual([]);
  },
  'NUL in names',
);

names.case('. and .. are taken', async (fs) => {
  await refuses('EEXIST', fs.makeNamed('.'));
  await refuses('EEXIST', fs.makeNamed('..'));
});

names.case('many directories below one another', async (fs) => {
  let here = fs;
  const held = [];
  for (let depth = 0; depth < 300; depth++) {
    await here.mkdir('d'.repeat(100));
    const directory = await here.open('d'.repeat(100), 'read');
    held.push(directory);
    here = here.at(directory);
  }
  await make(here, 'bottom', 'deep');
  expect(await contentOf(here, 'bottom')).toBe('deep');
  for (const directory of held) await directory.close();
  expect(await exists(fs, 'd'.repeat(100))).toBe(true);
});

names.case(
  'a path of more than 4095 bytes is ENAMETOOLONG',
  async (fs) => {
    await refuses('ENAMETOOLONG', fs.status(Array.from({ length: 50 }, () => 'd'.repeat(100)).join('/')));
  },
  'path walk',
);
