/**
 * The process in which images are tried: it may crash, hang or eat memory, and its parent
 * (scripts/hostile.mjs) notices.
 *
 * It takes work over IPC: `{ from, count }` for the images of these seeds, or `{ texts }` for
 * images given as text. Before each image it writes its text into the file named by its argument,
 * so that the parent knows which one it was whatever happens; after each batch it sends what it
 * found.
 */
import { openSync, writeSync } from 'node:fs';
import { parseSpecification, type Specification, specificationOf, textOf } from './specification.ts';
import { type Failure, tryImage } from './trial.ts';

export interface Batch {
  readonly from?: number;
  readonly count?: number;
  readonly texts?: readonly string[];
}

export interface Found extends Failure {
  readonly text: string;
  /** Undefined for an image given as text. */
  readonly seed: number | undefined;
}

export interface BatchResult {
  readonly images: number;
  readonly found: readonly Found[];
}

/** No image needs this much more than the ones before it. */
const MOST_GROWTH_BYTES = 400 * 1024 * 1024;
const TEXT_BYTES = 512;

const note = openSync(process.argv[2] ?? '/dev/null', 'w');

function noteImage(seed: number | undefined, text: string): void {
  writeSync(note, `${seed ?? ''} ${text}`.padEnd(TEXT_BYTES), 0);
}

async function tryOne(specification: Specification, seed: number | undefined): Promise<Found | undefined> {
  const text = textOf(specification);
  noteImage(seed, text);
  const before = process.memoryUsage.rss();
  const failure = await tryImage(specification);
  if (failure) return { ...failure, text, seed };
  const grown = process.memoryUsage.rss() - before;
  if (grown < MOST_GROWTH_BYTES) return undefined;
  return { signature: 'memory', detail: `took ${grown} bytes of memory`, text, seed };
}

/** What a bug would do, to prove that the parent notices. */
const SABOTAGE: Readonly<Record<string, () => void>> = {
  '!hang': () => {
    for (;;);
  },
  '!die': () => process.abort(),
};

async function tryText(text: string): Promise<Found | undefined> {
  noteImage(undefined, text);
  SABOTAGE[text]?.();
  try {
    return await tryOne(parseSpecification(text), undefined);
  } catch (thrown) {
    const { message } = thrown as Error;
    return { signature: `no image: ${message}`, detail: message, text, seed: undefined };
  }
}

async function run({ from = 0, count = 0, texts = [] }: Batch): Promise<BatchResult> {
  const found: Found[] = [];
  for (let seed = from; seed < from + count; seed++) {
    const one = await tryOne(specificationOf(seed), seed);
    if (one) found.push(one);
  }
  for (const text of texts) {
    const one = await tryText(text);
    if (one) found.push(one);
  }
  return { images: count + texts.length, found };
}

process.on('message', (batch: Batch) => {
  run(batch).then(
    (result) => process.send?.(result),
    (thrown: unknown) => {
      console.error(thrown);
      process.exit(3);
    },
  );
});
process.send?.('ready');
