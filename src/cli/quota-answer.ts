/** What the daemon of a mount does when it is asked by `quarry quota`. */

import { credentialsOf } from '../fuse/calling-thread.ts';
import type { AnswerFunction } from '../fuse/mount-answers.ts';
import { answerQuota, type QuotaVolume, readQuotaQuestion } from './quota-questions.ts';

/** What a volume lacks that is to be mounted with these limits; undefined for nothing. */
export async function uncountedQuotas(
  volume: QuotaVolume,
  expected: readonly string[],
): Promise<string | undefined> {
  if (expected.length === 0) return undefined;
  const counted = await answerQuota(volume, { do: 'kinds' }, undefined);
  const missing = expected.find((kind) => !(Array.isArray(counted) && counted.includes(kind)));
  if (missing === undefined) return undefined;
  return `counts no quotas of ${missing}s: 'quarry quota on' begins, or mount without ${missing} quotas`;
}

/** Root and who serves the mount may ask everything, anybody else for his own. */
export function quotaAnswer(volume: QuotaVolume): AnswerFunction {
  return async (payload, { uid, gid, pid }) => {
    const isOurs = uid === 0 || uid === process.geteuid?.();
    // Further groups are known of whoever can be seen.
    const groups = [gid, ...(credentialsOf(pid)?.groups ?? [])];
    return await answerQuota(volume, readQuotaQuestion(payload), isOurs ? undefined : { uid, groups });
  };
}
