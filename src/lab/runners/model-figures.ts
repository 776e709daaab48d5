/**
 * What only a model can tell of its volume, gathered while it is aged: it sees every request of the
 * device and may look at the free space whenever it likes.
 */
import type { Allocator } from '../../alloc/allocator.ts';
import type { Volume } from '../../fs/volume.ts';
import { type EffortCounters, type EffortSample, effortBetween } from '../measures/effort.ts';
import { type OnePieceFigures, OnePieceGatherer } from '../measures/one-piece.ts';
import type { RequestStream } from '../measures/request-stream.ts';

export interface ModelSample extends OnePieceFigures, EffortSample {
  /** Dynamic layout score of the data written since the sample before, and of all that was. */
  readonly dataWriteScore: number;
  readonly allWriteScore: number;
}

/** The model, as far as its figures need it. */
export interface FiguresSource {
  readonly operations: number;
  readonly writtenBytes: number;
  /** Looks into maps of the free space that `visitFreeRuns` made. */
  readonly ownMapLooks: number;
  readonly volume: Volume;
  readonly policy: Allocator | undefined;
  readonly device: { readonly dataWrites: RequestStream; readonly allWrites: RequestStream };
  visitFreeRuns(visit: (start: number, length: number) => void): Promise<unknown>;
}

/** Between two looks at the free space this part of the volume is written. */
const LOOK_SHARE = 1 / 64;

export class ModelFigures {
  readonly #model: FiguresSource;
  readonly #sizeBytes: number;
  readonly #spaceBlocks: number;
  readonly #onePiece: OnePieceGatherer;
  #before: EffortCounters;
  #nextLook = 0;

  constructor(model: FiguresSource, sizeBytes: number) {
    const { layout, blockBytes } = model.volume;
    this.#model = model;
    this.#sizeBytes = sizeBytes;
    this.#spaceBlocks = layout.pristineFree(layout.summaryLevels, 0);
    this.#onePiece = new OnePieceGatherer(blockBytes, this.#spaceBlocks);
    this.#before = this.#counters();
  }

  /** So much is written that a look is due. */
  get isLookDue(): boolean {
    return this.#model.writtenBytes >= this.#nextLook;
  }

  /** Which free runs are there? Changes nothing. */
  async look(): Promise<void> {
    const onePiece = this.#onePiece;
    this.#nextLook = this.#model.writtenBytes + this.#sizeBytes * LOOK_SHARE;
    onePiece.beginLook();
    await this.#model.visitFreeRuns((_start, length) => onePiece.add(length));
    onePiece.endLook();
  }

  /** A sample of now, and of what happened since the last one. */
  async take(): Promise<ModelSample> {
    const { volume, policy, device } = this.#model;
    const onePiece = this.#onePiece;
    await this.look();
    const before = this.#before;
    this.#before = this.#counters();
    return {
      ...onePiece.figures(),
      ...effortBetween(before, {
        ...this.#before,
        spaceIndexBytes: volume.counters().spaceIndexBytes,
        usedBlocks: this.#spaceBlocks - onePiece.freeBlocks,
        policy: policy?.stats?.() ?? {},
      }),
      dataWriteScore: device.dataWrites.takeScore(),
      allWriteScore: device.allWrites.takeScore(),
    };
  }

  /** But for what looking at the volume costs. */
  #counters(): EffortCounters {
    const { operations, ownMapLooks, volume } = this.#model;
    const { metadataBlocksChanged, metadataBlocksLogged, spaceMapLooks, runsReserved } = volume.counters();
    return {
      ...{ operations, metadataBlocksChanged, metadataBlocksLogged, runsReserved },
      spaceMapLooks: spaceMapLooks - ownMapLooks,
    };
  }
}
