/**
 * Reads everything that a mounted volume holds: names and attributes in one transaction, then the
 * bytes of all files.
 */
import type { Device } from '../../src/aio/device.ts';
import { emptyAttributes } from '../../src/fs/base/empty-attributes.ts';
import type { Attributes, ReadRequest } from '../../src/fs/base/filesystem.ts';
import { FILE_TYPE_MASK, FileType, ROOT_INODE } from '../../src/fs/format/format.ts';
import type { Transaction } from '../../src/fs/transaction/transaction.ts';
import type { Volume } from '../../src/fs/volume.ts';
import {
  attributesText,
  comparePaths,
  type NodeAttributes,
  type NodeKind,
  type TreeEntry,
  treeSignature,
} from './model.ts';

const decoder = new TextDecoder();
/** More names than any workload makes: a directory that lists without end must not hang the run. */
const MOST_NAMES = 10_000;

export interface RecoveredFile {
  /** First path of it. */
  readonly path: string;
  readonly inode: number;
  readonly sizeBytes: number;
}

export interface RecoveredTree {
  readonly signature: string;
  readonly files: readonly RecoveredFile[];
}

interface Found {
  readonly path: string;
  readonly inode: number;
  readonly attributes: Attributes;
  readonly target: string;
  readonly extended: string;
}

function kindOf(mode: number): NodeKind {
  const type = mode & FILE_TYPE_MASK;
  if (type === FileType.regular) return 'file';
  if (type === FileType.directory) return 'directory';
  if (type === FileType.symlink) return 'symlink';
  if (type === FileType.characterDevice) return 'whiteout';
  throw new Error(`an inode of mode ${mode.toString(8)}`);
}

/** @throws what the volume throws, and Error for what no volume should show */
export async function readTree(volume: Volume): Promise<RecoveredTree> {
  const found = await volume.run((tx) => walk(volume, tx));
  found.sort((left, right) => comparePaths(left.path, right.path));
  const firstPaths = new Map<number, string>();
  const files: RecoveredFile[] = [];
  const entries: TreeEntry[] = found.map(({ path, inode, attributes, target, extended }) => {
    const { mode, linkCount, sizeBytes, flags } = attributes;
    const kind = kindOf(mode);
    const isFirst = !firstPaths.has(inode);
    if (isFirst) firstPaths.set(inode, path);
    if (isFirst && kind === 'file') files.push({ path, inode, sizeBytes });
    const same = firstPaths.get(inode) ?? path;
    const known = { path, kind, mode: mode & 0o7777, links: linkCount, target, attributes: extended };
    return { ...known, flags, same };
  });
  return { signature: treeSignature(entries), files };
}

/** The mode and the extended attributes of an inode, as the model has them. */
export function attributesOf(volume: Volume, tx: Transaction, inode: number): NodeAttributes {
  const found = emptyAttributes();
  volume.readAttributes(tx, inode, found);
  return { mode: found.mode & 0o7777, attributes: extendedAttributes(volume, tx, inode) };
}

function extendedAttributes(volume: Volume, tx: Transaction, inode: number): string {
  const values = new Map<string, Uint8Array>();
  for (const name of volume.listExtendedAttributes(tx, inode))
    values.set(decoder.decode(name), volume.getExtendedAttribute(tx, inode, name));
  return attributesText(values);
}

function walk(volume: Volume, tx: Transaction): Found[] {
  const found: Found[] = [];
  const directories: { path: string; inode: number }[] = [];
  const visit = (path: string, inode: number): void => {
    const attributes = emptyAttributes();
    volume.readAttributes(tx, inode, attributes);
    const type = attributes.mode & FILE_TYPE_MASK;
    const target = type === FileType.symlink ? decoder.decode(volume.readSymlink(tx, inode)) : '';
    found.push({ path, inode, attributes, target, extended: extendedAttributes(volume, tx, inode) });
    if (found.length > MOST_NAMES) throw new Error('the tree has no end');
    if (type === FileType.directory) directories.push({ path, inode });
  };
  visit('', ROOT_INODE);
  for (let at = 0; at < directories.length; at++) {
    const directory = directories[at] as { path: string; inode: number };
    const names: { name: string; inode: number }[] = [];
    volume.readDirectory(tx, directory.inode, 0, (name, inode) => {
      const text = decoder.decode(name);
      if (text !== '.' && text !== '..') names.push({ name: text, inode });
      return names.length <= MOST_NAMES;
    });
    for (const { name, inode } of names) visit(`${directory.path}/${name}`, inode);
  }
  return found;
}

/** The content of each file, in their order. */
export async function readContents(
  volume: Volume,
  device: Device,
  files: readonly RecoveredFile[],
): Promise<Uint8Array[]> {
  const reads = files.map((file) => readWhole(volume, device, file));
  volume.submit();
  return Promise.all(reads);
}

function readWhole(volume: Volume, device: Device, file: RecoveredFile): Promise<Uint8Array> {
  const lengthBytes = file.sizeBytes;
  if (lengthBytes > device.sizeBytes) throw new Error(`${file.path} has ${lengthBytes} bytes`);
  if (lengthBytes === 0) return Promise.resolve(new Uint8Array(0));
  return new Promise((resolve, reject) => {
    const rounded = 2 ** Math.ceil(Math.log2(lengthBytes + 2 * volume.blockBytes));
    const memory = device.allocateMemory(rounded);
    const request: ReadRequest = {
      inode: file.inode,
      offsetBytes: 0,
      lengthBytes,
      memory,
      memoryOffset: 0,
      resultOffset: 0,
      resultBytes: 0,
      movesAccessTime: false,
      finished: (thrown) => {
        const { resultOffset, resultBytes } = request;
        if (thrown === undefined) resolve(memory.bytes.subarray(resultOffset, resultOffset + resultBytes));
        else reject(thrown);
      },
    };
    volume.read(request);
  });
}
