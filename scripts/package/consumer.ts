/** What a program in TypeScript writes; compiled as strictly as it goes, and never run. */
import { check, type FormattedVolume, format, openVolume, type VolumeStats } from 'quarryfs';
import { AlignedBuffer, type AsyncFile, type OpenFileOptions, openFile } from 'quarryfs/aio';
import { type Allocator, defineAllocator } from 'quarryfs/alloc';
import { type LabResults, runExperiment, type Verdict, verifyAllocator } from 'quarryfs/lab';

export async function volumes(given: string | undefined): Promise<VolumeStats> {
  // With exactOptionalPropertyTypes an option that may be undefined has to say so.
  const made: FormattedVolume = await format('v.img', { size: 2 ** 26, label: given });
  const volume = await openVolume('v.img', { readOnly: made.sizeBytes > 0 });
  const stats = await volume.stat('/');
  await volume.close();
  if (!(await check('v.img')).clean) throw new Error('damaged');
  return stats;
}

export async function files(options: OpenFileOptions): Promise<number> {
  const file: AsyncFile = await openFile('v.img', options);
  const count: number = await file.readAt(AlignedBuffer.allocate(4096), 0);
  await file.close();
  return count;
}

export const policy = defineAllocator({
  name: 'mine',
  create(space): Allocator {
    return {
      allocate: ({ length, minimum }) => {
        const start = space.nextFree(0, space.blockCount);
        const found = start < 0 ? 0 : space.freeRunLength(start, length);
        return found < minimum ? undefined : { start, length: found };
      },
    };
  },
});

export async function laboratory(threads: number | undefined): Promise<[Verdict, LabResults]> {
  const verdict = await verifyAllocator('first-fit', { rounds: 1 });
  return [
    verdict,
    await runExperiment({ policies: ['first-fit'], workloads: ['files'], out: 'out', threads }),
  ];
}

// @ts-expect-error: there is no such option
void format('v.img', { sizes: 1 });
