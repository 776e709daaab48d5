/** How much is too much: sizes and offsets. The number of links: volume-link-limit.test.ts. */
import { expect } from 'vitest';
import { contentOf, make, refuses } from '../expectations.ts';
import { Subject } from '../subject.ts';

export const limits = new Subject('limits');

/** Larger than any file, and exact as a number. */
const TOO_FAR = 2 ** 62;

limits.case('truncate beyond the largest file is EFBIG', async (fs) => {
  await make(fs, 'file', 'x');
  await refuses('EFBIG', fs.truncate('file', TOO_FAR));
  expect(await contentOf(fs, 'file')).toBe('x');
});

limits.case('a write beyond the largest file is EFBIG, at the latest when it is synced', async (fs) => {
  const file = await fs.open('file', 'both', ['create']);
  const writeAndSync = async () => {
    await file.write(TOO_FAR, Buffer.from('x'));
    await file.sync();
  };
  await refuses('EFBIG', writeAndSync());
  await file.close();
});

limits.case('a large file is as large as it says', async (fs) => {
  await make(fs, 'file');
  await fs.truncate('file', 2 ** 43);
  expect((await fs.status('file')).sizeBytes).toBe(2 ** 43);
  const file = await fs.open('file', 'read');
  expect((await file.read(2 ** 43 - 3, 10)).equals(Buffer.alloc(3))).toBe(true);
  await file.close();
});
