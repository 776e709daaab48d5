// @ts-check
/**
 * The mount tests at full size, with what each of them saw: 20,000 files, 200,000 names, 1 GiB
 * volumes, every block size.
 *
 * `node scripts/acceptance.mjs [vitest arguments]`, as root, some minutes. The same tests as `npm
 * test` runs, so a failure here is repeated by `QUARRY_FULL=1 npx vitest run test/mount -t '…'`.
 */
import { build, localProgram, runHere } from './build.mjs';

const env = { ...process.env, CI: 'true', QUARRY_FULL: '1', QUARRY_TEST_SEEN: '1' };
const args = ['run', '--no-file-parallelism', '--testTimeout=1800000', '--hookTimeout=600000', 'test/mount'];
process.exitCode = (await build())
  ? await runHere(localProgram('vitest'), [...args, ...process.argv.slice(2)], env)
  : 1;
