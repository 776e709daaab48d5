/** A policy of 30 lines, tried and compared: `node first.js MODULE DIRECTORY` */
import { isAmongBest, runExperiment, verifyAllocator } from 'quarryfs/lab';

const [module, directory] = process.argv.slice(2);

const { broken, calls } = await verifyAllocator(module, { rounds: 20, seed: 1 });
if (broken) throw new Error(`the rule '${broken.broken.rule}' is broken: ${broken.broken.why}`);
console.log(`${calls > 1000 ? 'thousands of' : calls} operations, and every rule holds`);

// A small experiment. For one that says something, leave out the last six options.
const { rankings } = await runExperiment({
  policies: [module, 'first-fit'],
  workloads: ['files'],
  out: directory,
  sizeBytes: 64 * 2 ** 20,
  churn: 1,
  samples: 1,
  seeds: 3,
  onProgress: (share) => process.stderr.isTTY && process.stderr.write(`\r${Math.floor(share * 100)} %`),
});
const pieces = rankings.find(({ measure }) => measure === 'extentsPerFile');
for (const policy of pieces?.policies ?? []) {
  const { mean, low, high } = policy.estimate;
  const interval = `${mean.toFixed(2)} extents per file (${low.toFixed(2)} to ${high.toFixed(2)})`;
  console.log(`${policy.rank}. ${policy.policy}: ${interval}${isAmongBest(policy) ? ' *' : ''}`);
}
