/** Rankings in sentences. */
import { MEASURES } from '../measures.ts';
import type { RankedPolicy, Ranking } from '../ranking.ts';
import { FEWEST_SEEDS } from '../statistics.ts';
import { shortNumber } from './tables.ts';
import { listed } from './units.ts';

/** A sentence for each ranking, in the order of the measures. @param rankings of one workload */
export function verdictsOf(rankings: readonly Ranking[]): string[] {
  return MEASURES.flatMap(({ name, title }) => {
    const found = rankings.find(({ measure }) => measure === name);
    return found === undefined || found.policies.length < 2 ? [] : verdictOf(title, found);
  });
}

function verdictOf(title: string, { policies }: Ranking): string {
  const [best] = policies;
  if (best === undefined) return '';
  const lead = `By ${title},`;
  const namesOf = (those: readonly RankedPolicy[]) => listed(those.map(({ policy }) => policy));
  const first = policies.filter(({ rank }) => rank === 1);
  const alike = first.length === 1 ? '' : ` came out alike (${shortNumber(best.estimate.mean)})`;
  if (best.estimate.count < FEWEST_SEEDS) {
    const what = alike === '' ? ` came out first (${shortNumber(best.estimate.mean)})` : alike;
    return `${lead} ${namesOf(first)}${what}, but with fewer than ${FEWEST_SEEDS} seeds nothing can be told apart.`;
  }
  const untold = policies.filter(({ toBest }) => toBest === 'cannot be told');
  const worse = policies.filter(({ toBest }) => toBest === 'worse');
  const sentences = [
    alike === '' ? verdictOfBest(best, untold) : `${namesOf(first)}${alike}`,
    ...(alike !== '' && untold.length > 0 ? [`${namesOf(untold)} cannot be told from them`] : []),
    ...(worse.length > 0 ? [`${namesOf(worse)} ${worse.length === 1 ? 'is' : 'are'} worse`] : []),
  ];
  return `${lead} ${sentences.join('; ')}.`;
}

function verdictOfBest({ policy, estimate }: RankedPolicy, untold: readonly RankedPolicy[]): string {
  if (untold.length === 0) return `${policy} is the best (${shortNumber(estimate.mean)})`;
  const names = listed([policy, ...untold.map((one) => one.policy)]);
  return `${names} cannot be told ${untold.length === 1 ? 'apart' : `from the best, ${policy}`}`;
}
