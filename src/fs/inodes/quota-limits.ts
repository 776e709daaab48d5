/**
 * What limits mean, as numbers: when a quota is reached, and when the time of grace begins and ends
 * (fs/quota/dquot.c of Linux: dquot_add_space, dquot_decr_space, do_set_dqblk).
 *
 * The soft limit may be passed for a time of grace, which begins when it is; after its end the soft
 * limit counts as the hard one, until usage is down to it again.
 */

/** Of blocks or of inodes; 0 where there is none. */
export interface QuotaLimits {
  readonly soft: number;
  readonly hard: number;
  /** When the time of grace ends, in seconds since 1970; 0 while the soft limit is not passed. */
  readonly deadline: number;
}

/** May so much not be used? @param used what there would be */
export function isReached({ soft, hard, deadline }: QuotaLimits, used: number, now: number): boolean {
  if (hard > 0 && used > hard) return true;
  return soft > 0 && used > soft && deadline > 0 && now >= deadline;
}

/** The deadline now that so much is used. @param graceSeconds that whoever passes the limit has */
export function nextDeadline(
  { soft, deadline }: QuotaLimits,
  used: number,
  now: number,
  graceSeconds: number,
): number {
  if (soft === 0 || used <= soft) return 0;
  return deadline > 0 ? deadline : Math.max(1, Math.floor(now) + graceSeconds);
}
