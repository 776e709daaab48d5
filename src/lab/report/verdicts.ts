/** Rankings in sentences. */
import { MEASURES } from '../measures.ts';
import type { Ranking } from '../ranking.ts';
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
  const names = (are: (toBest: string) => boolean) =>
    policies.filter(({ toBest }) => are(toBest)).map(({ policy }) => policy);
  const like = names((toBest) => toBest === 'best' || toBest === 'cannot be told');
  const worse = names((toBest) => toBest === 'worse');
  const lead = `By ${title},`;
  if (best.estimate.count < FEWEST_SEEDS)
    return `${lead} ${best.policy} came out first (${shortNumber(best.estimate.mean)}), but with fewer than ${FEWEST_SEEDS} seeds nothing can be told apart.`;
  const first =
    like.length === 1
      ? `${best.policy} is the best (${shortNumber(best.estimate.mean)})`
      : `${listed(like)} cannot be told ${like.length === 2 ? 'apart' : `from the best, ${best.policy}`}`;
  if (worse.length === 0) return `${lead} ${first}.`;
  return `${lead} ${first}; ${listed(worse)} ${worse.length === 1 ? 'is' : 'are'} worse.`;
}
