import { explore } from './explore.ts';
import { describeWorkload, oneOperation, record } from './workloads.ts';
import { KeySet } from '../../src/aio/crash-hash.ts';

const names = process.argv[2] ? [process.argv[2]] : oneOperation();
const limit = Number(process.argv[3] ?? 1e9);
const total = new KeySet();
let examined = 0;
const start = Date.now();
let violations = 0;
let recordTime = 0;
for (const name of names) {
  let t = Date.now();
  const recorded = await record(name);
  recordTime += Date.now() - t;
  t = Date.now();
  let n = 0;
  const violation = await explore(
    recorded,
    {
      seed: 1,
      recoveryEvery: Number(process.env['EVERY'] ?? 8),
      depth: 1,
      budget: { exhaustive: 64, samples: 12, singles: 6 },
      recoveryBudget: { exhaustive: 16, samples: 4, singles: 2 },
      only: process.argv[4],
    },
    (key) => {
      examined++;
      n++;
      total.add(key);
      return n < limit;
    },
  );
  if (violation) {
    violations++;
    console.log(name, describeWorkload(name), n, JSON.stringify(violation, null, 1).replaceAll('\\n', '\n').slice(0, 1500));
  } else if (names.length < 5) console.log(name, describeWorkload(name), recorded.log.length, recorded.from, n, `${Date.now() - t} ms`);
}
console.log({ workloads: names.length, examined, distinct: total.size, violations, seconds: (Date.now() - start) / 1000, recordTime });
