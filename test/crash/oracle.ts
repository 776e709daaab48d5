/**
 * What a volume may show after a crash at a place of the device log.
 *
 * The journal commits transactions in order, so names, attributes and sizes must be those of one
 * version of the model, no older than the last one that a finished sync promised, no younger than
 * the crash. Content is written before the transaction that speaks of it is durable, and in place,
 * so at each byte of a file in version v stands
 *   what the changes that were over at v, or that a sync waited for, left there,
 *   or what any later change that had begun before the crash put there,
 * and nothing else ever. Changes that were under way together may have either order.
 */
import type { ContentChange, Version } from './model.ts';
import type { Patterns } from './patterns.ts';
import type { DurableMark, Recorder } from './recorder.ts';
import type { RecoveredFile, RecoveredTree } from './recovered-tree.ts';

/** The place of a crash, and what it allows. */
export interface CrashWindow {
  readonly eventCount: number;
  /** The oldest and the youngest version allowed. */
  readonly first: number;
  readonly last: number;
  readonly mark: DurableMark | undefined;
}

export class Oracle {
  readonly #recorder: Recorder;
  readonly #expected = new Map<string, Uint8Array>();

  constructor(recorder: Recorder) {
    this.#recorder = recorder;
  }

  windowAt(eventCount: number): CrashWindow {
    const { marks, versionPositions } = this.#recorder;
    let mark: DurableMark | undefined;
    for (const candidate of marks) if (candidate.position <= eventCount) mark = candidate;
    let last = 0;
    while (last + 1 < versionPositions.length && (versionPositions[last + 1] as number) <= eventCount) last++;
    return { eventCount, first: mark?.version ?? 0, last, mark };
  }

  /** Versions that have these names, attributes and sizes; what is wrong, if there is none. */
  candidates(window: CrashWindow, tree: RecoveredTree): readonly Version[] | string {
    const { versions } = this.#recorder.model;
    const found: Version[] = [];
    let reason = '';
    for (let i = window.last; i >= window.first; i--) {
      const version = versions[i] as Version;
      const fault = treeFault(version, window, tree);
      if (fault === undefined) found.push(version);
      else if (reason === '' || version.signature === tree.signature) reason = fault;
    }
    if (found.length > 0) return found;
    return `no version from ${window.first} to ${window.last} of ${versions.length} has this tree\n${reason}${this.#elsewhere(window, tree)}`;
  }

  /** Helps to understand a violation: is it a version out of the window? */
  #elsewhere(window: CrashWindow, tree: RecoveredTree): string {
    const { versions } = this.#recorder.model;
    const others = versions.flatMap((version, i) =>
      treeFault(version, { ...window, mark: undefined }, tree) === undefined ? [i] : [],
    );
    return others.length > 0
      ? `\nit is the tree of version ${others.join(', ')}`
      : '\nit is the tree of no version at all';
  }

  /**
   * What is wrong with the bytes of the files in the best of the versions; undefined if nothing is
   * in one of them.
   */
  contentFault(
    window: CrashWindow,
    versions: readonly Version[],
    files: readonly RecoveredFile[],
    contents: readonly Uint8Array[],
  ): string | undefined {
    let fault: string | undefined;
    for (const version of versions) {
      fault = this.#faultIn(window, version, files, contents);
      if (fault === undefined) return undefined;
    }
    return fault;
  }

  #faultIn(
    window: CrashWindow,
    version: Version,
    files: readonly RecoveredFile[],
    contents: readonly Uint8Array[],
  ): string | undefined {
    for (let i = 0; i < files.length; i++) {
      const file = files[i] as RecoveredFile;
      const fault = this.#fileFault(window, version, file, contents[i] as Uint8Array);
      if (fault !== undefined) return `${file.path} ${fault}`;
    }
    return undefined;
  }

  #fileFault(
    window: CrashWindow,
    version: Version,
    file: RecoveredFile,
    content: Uint8Array,
  ): string | undefined {
    if (content.length !== file.sizeBytes)
      return `has ${file.sizeBytes} bytes, but reads as ${content.length}`;
    const id = version.files.get(file.path) ?? 0;
    const changes = this.#recorder.model.contents.get(id) ?? [];
    if (Buffer.compare(content, this.#contentAt(id, changes, version, content.length)) === 0) {
      if (!changes.some((change) => isPromisedLater(change, version, window))) return undefined;
    }
    return this.#compare(window, version, changes, content);
  }

  /** What the file holds if exactly the changes over at the version were made. */
  #contentAt(id: number, changes: readonly ContentChange[], version: Version, sizeBytes: number): Uint8Array {
    const key = `${id} ${version.tick} ${sizeBytes}`;
    const known = this.#expected.get(key);
    if (known) return known;
    const bytes = new Uint8Array(sizeBytes);
    for (const { from, to, pattern, endTick } of changes) {
      if (endTick <= version.tick && from < sizeBytes) {
        this.#recorder.patterns.fill(bytes.subarray(from, Math.min(to, sizeBytes)), from, pattern);
      }
    }
    this.#expected.set(key, bytes);
    return bytes;
  }

  #compare(
    window: CrashWindow,
    version: Version,
    changes: readonly ContentChange[],
    content: Uint8Array,
  ): string | undefined {
    const begun = changes.filter(({ beginPosition }) => beginPosition <= window.eventCount);
    const bounds = new Set([0, content.length]);
    for (const { from, to } of begun) {
      if (from < content.length) bounds.add(from);
      if (to < content.length) bounds.add(to);
    }
    const places = [...bounds].sort((left, right) => left - right);
    for (let i = 1; i < places.length; i++) {
      const from = places[i - 1] as number;
      const to = places[i] as number;
      const allowed = allowedPatterns(begun, from, version, window);
      const at = firstDifference(this.#recorder.patterns, content, { from, to, allowed });
      if (at >= 0) return this.#describe(content, at, allowed);
    }
    return undefined;
  }

  #describe(content: Uint8Array, at: number, allowed: readonly number[]): string {
    const { patterns } = this.#recorder;
    const found = patterns.describe(content.subarray(at), at);
    const names = allowed.map((pattern) => patterns.name(pattern));
    return `(${content.length} bytes) holds at byte ${at} ${found}; allowed: ${names.join(', ')}`;
  }
}

/** Was the change waited for by a sync, although it was not over at the version? */
function isPromisedLater(change: ContentChange, version: Version, window: CrashWindow): boolean {
  return change.endTick > version.tick && change.durablePosition <= window.eventCount;
}

function treeFault(version: Version, window: CrashWindow, tree: RecoveredTree): string | undefined {
  if (version.signature !== tree.signature) {
    return `expected\n${indented(version.signature)}\nfound\n${indented(tree.signature)}`;
  }
  for (const { path, sizeBytes } of tree.files) {
    const id = version.files.get(path) ?? 0;
    const state = version.sizes.get(id);
    if (!state?.sizes.includes(sizeBytes)) {
      return `${path} has ${sizeBytes} bytes, expected ${state?.sizes.join(' or ')}`;
    }
    const floor = window.mark?.floors.find(
      (candidate) =>
        candidate.id === id && candidate.truncations === state.truncations && candidate.sizeBytes > sizeBytes,
    );
    if (floor)
      return `${path} has ${sizeBytes} bytes, but a sync waited for a write up to ${floor.sizeBytes}`;
  }
  return undefined;
}

function indented(text: string): string {
  return text.replace(/^/gm, '    ');
}

/** Numbers of the patterns of which the byte at `offset` may be. */
function allowedPatterns(
  begun: readonly ContentChange[],
  offset: number,
  version: Version,
  window: CrashWindow,
): number[] {
  const here = begun.filter(
    ({ from, to, goneTick }) => from <= offset && offset < to && version.tick < goneTick,
  );
  const isSure = (change: ContentChange) =>
    change.endTick <= version.tick || change.durablePosition <= window.eventCount;
  const sure = here.filter(isSure);
  const latestBegin = Math.max(...sure.map(({ beginTick }) => beginTick));
  // A sure change is out of sight when a sure one began after it was over.
  const visible = here.filter((change) => !isSure(change) || change.endTick >= latestBegin);
  const patterns = visible.map(({ pattern }) => pattern);
  return sure.length === 0 ? [0, ...patterns] : patterns;
}

/** Bytes of a file, and the patterns that may stand there. */
interface Allowance {
  readonly from: number;
  readonly to: number;
  readonly allowed: readonly number[];
}

/**
 * Mostly all bytes come from one write: that is tried first, as a whole; then neighbour by
 * neighbour.
 */
function firstDifference(patterns: Patterns, content: Uint8Array, { from, to, allowed }: Allowance): number {
  const expected = new Uint8Array(to - from);
  for (const pattern of allowed) {
    patterns.fill(expected, from, pattern);
    if (Buffer.compare(expected, content.subarray(from, to)) === 0) return -1;
  }
  let pattern: number | undefined = allowed[0];
  for (let at = from; at < to; at++) {
    const byte = content[at] as number;
    if (pattern !== undefined && patterns.byteAt(at, pattern) === byte) continue;
    pattern = allowed.find((other) => patterns.byteAt(at, other) === byte);
    if (pattern === undefined) return at;
  }
  return -1;
}
