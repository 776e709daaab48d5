/**
 * Whom `quarry quota` asks: the daemon of a mount, whatever names it, or the volume itself where it
 * is not mounted.
 */
import { statSync } from 'node:fs';
import { onlyReadable } from '../fs/format/features.ts';
import { openVolume, type Volume } from '../fs/volume.ts';
import type { MountRecord } from '../fuse/mount-table.ts';
import { systemPath } from '../path-bytes.ts';
import { askMount } from './ask-mount.ts';
import { CommandError } from './failure.ts';
import { requireMount } from './mountpoint.ts';
import { openTarget } from './open-target.ts';
import { answerQuota, type QuotaChange, type QuotaQuestion } from './quota-questions.ts';
import { holding, mountOf } from './storage-hold.ts';
import { inspectTarget, type Target } from './target.ts';
import { volumeError } from './volume-failure.ts';
import { readVolumeHead } from './volume-head.ts';

/** A limit is durable when it is answered, which may take a commit of much. */
const ANSWER_MILLISECONDS = 60_000;

export type AskQuota = (question: QuotaQuestion) => Promise<unknown>;

/** Looks at the quotas of what is named. @throws CommandError */
export async function withQuotas<T>(name: string, work: (ask: AskQuota) => Promise<T>): Promise<T> {
  const found = await mountNamed(name);
  if ('directory' in found) return await work((question) => askDaemon(found, question));
  return await withVolume(found, false, (volume) =>
    work((question) => answerQuota(volume, question, undefined)),
  );
}

/**
 * Changes them. A volume that does not count what is limited is left as it is.
 * @throws CommandError
 */
export async function changeQuotas(name: string, question: QuotaChange): Promise<void> {
  const found = await mountNamed(name);
  if ('directory' in found) {
    await askDaemon(found, question);
    return;
  }
  const look = { do: 'report', kind: question.kind, fromId: 0 } as const;
  await withVolume(found, false, (volume) => answerQuota(volume, look, undefined));
  await withVolume(found, true, (volume) => answerQuota(volume, question, undefined));
}

function askDaemon(mount: MountRecord, question: QuotaQuestion): Promise<unknown> {
  return askMount(mount, 'quota', { payload: JSON.stringify(question), limitMs: ANSWER_MILLISECONDS });
}

/** The mount that is named, or the target that is not mounted. */
async function mountNamed(name: string): Promise<MountRecord | Target> {
  if (isDirectory(name)) return await requireMount(name);
  const target = inspectTarget(name);
  return mountOf(target) ?? target;
}

function isDirectory(name: string): boolean {
  try {
    return statSync(systemPath(name)).isDirectory();
  } catch {
    return false;
  }
}

/** @throws CommandError for what is mounted, or no target */
export async function unmountedTarget(name: string): Promise<Target> {
  const found = await mountNamed(name);
  if (!('directory' in found)) return found;
  throw new CommandError(`${found.directory} is mounted: unmount it first, since all files are gone through`);
}

/** Opens a volume that is not mounted, and closes it when the work is done. @throws CommandError */
export async function withVolume<T>(
  target: Target,
  changes: boolean,
  work: (volume: Volume) => Promise<T>,
): Promise<T> {
  const { onlyReadableFor } = readVolumeHead(target);
  if (changes && onlyReadableFor !== undefined)
    throw new CommandError(`${target.path}: ${onlyReadable(onlyReadableFor)}`);
  return await holding(target, changes ? 'exclusive' : 'shared', async () => {
    try {
      const device = openTarget(target, { exclusive: false, allowBuffered: true, readOnly: !changes });
      const volume = await openVolume(device, { readOnly: !changes });
      return await closedAfter(volume, work(volume));
    } catch (thrown) {
      throw volumeError(thrown, target.path, 'opened');
    }
  });
}

async function closedAfter<T>(volume: Volume, work: Promise<T>): Promise<T> {
  // What went wrong first is what is told.
  await work.catch(() => {});
  const ended = volume.unmount();
  await ended.catch(() => {});
  const result = await work;
  await ended;
  return result;
}
