/**
 * `quarry mount --debug`: a line for each request that is answered, as libfuse's `-d` has them.
 *
 *   1.204117 lookup(1, "a.txt") = inode 5, 0.041 ms, pid 812
 *   1.204530 write(5, 4096 bytes at 0) = 4096, 0.103 ms, pid 812
 *   1.205911 rmdir(1, "full") = ENOTEMPTY, 0.028 ms, pid 815
 *
 * First the seconds since the mount began, when the request came; then the inode that it is about,
 * what it says, and what it was answered; 0 where there is nothing to say. A request that is under
 * way has no line yet.
 */
import { printable } from '../common/printable.ts';
import { Errno } from '../fs/base/errors.ts';
import { Opcode } from './abi.ts';
import type { FuseRequest } from './request.ts';

export interface TraceOptions {
  /** Names of operations; empty for all. */
  readonly operations: ReadonlySet<string>;
  /** Only what was refused, agreements left out. */
  readonly onlyErrors: boolean;
  /** Takes one line, without its end. */
  readonly line: (text: string) => void;
}

interface Begun {
  readonly milliseconds: number;
  readonly pid: number;
  readonly words: string;
}

type Words = (request: FuseRequest) => string;

function quoted(bytes: Uint8Array): string {
  return `"${printable(Buffer.from(bytes).toString())}"`;
}

const name: Words = ({ names }) => quoted(names.name);
const attribute: Words = ({ extended }) => quoted(extended.name);
const transfer: Words = ({ transfer: { lengthBytes, offsetBytes } }) =>
  `${lengthBytes} bytes at ${offsetBytes}`;
const listing: Words = ({ list: { lengthBytes, cookie } }) => `${lengthBytes} bytes from ${cookie}`;
const rename: Words = ({ names }) =>
  `${quoted(names.name)}, ${names.newParent}, ${quoted(names.newName)}${names.flags === 0 ? '' : `, flags ${names.flags}`}`;
const copy: Words = ({ ranges: { copy: range } }) =>
  `${range.lengthBytes} bytes at ${range.fromBytes}, to ${range.to} at ${range.toBytes}`;

/** What a request says, beside its inode. */
const WORDS: ReadonlyMap<number, Words> = new Map<number, Words>([
  [Opcode.LOOKUP, name],
  [Opcode.MKNOD, name],
  [Opcode.MKDIR, name],
  [Opcode.CREATE, name],
  [Opcode.UNLINK, name],
  [Opcode.RMDIR, name],
  [Opcode.SYMLINK, ({ names }) => `${quoted(names.name)}, to ${quoted(names.newName)}`],
  [Opcode.LINK, ({ names }) => `${names.newParent}, ${quoted(names.name)}`],
  [Opcode.RENAME, rename],
  [Opcode.RENAME2, rename],
  [Opcode.READ, transfer],
  [Opcode.WRITE, transfer],
  [Opcode.READDIR, listing],
  [Opcode.READDIRPLUS, listing],
  [Opcode.SETATTR, ({ setattr }) => (setattr.resizes ? `size ${setattr.sizeBytes}` : '')],
  [Opcode.GETXATTR, attribute],
  [Opcode.SETXATTR, attribute],
  [Opcode.REMOVEXATTR, attribute],
  [
    Opcode.FALLOCATE,
    ({ ranges: { fallocate: range } }) =>
      `${range.action} ${range.lengthBytes} bytes at ${range.offsetBytes}`,
  ],
  [Opcode.LSEEK, ({ ranges }) => `${ranges.target} from ${ranges.offsetBytes}`],
  [Opcode.COPY_FILE_RANGE, copy],
  [Opcode.COPY_FILE_RANGE_64, copy],
  [Opcode.IOCTL, ({ passed }) => `0x${passed.command.toString(16)}`],
]);

const ERRORS = new Map(Object.entries(Errno).map(([errno, number]) => [number as number, errno]));

function foundWords(value: Uint8Array | undefined): string {
  return value === undefined ? 'ENODATA' : `${value.length} bytes`;
}

function answerWords(request: FuseRequest): string {
  const { opcode, entryInode, transfer: moved, ranges } = request;
  if (entryInode !== 0) return `inode ${entryInode}`;
  if (opcode === Opcode.READ) return String(moved.resultBytes);
  if (opcode === Opcode.WRITE) return String(moved.lengthBytes);
  const isRange = opcode === Opcode.COPY_FILE_RANGE || opcode === Opcode.COPY_FILE_RANGE_64;
  if (opcode === Opcode.LOOKUP) return 'nothing';
  if (opcode === Opcode.GETXATTR) return foundWords(request.extended.found);
  return isRange || opcode === Opcode.LSEEK ? String(ranges.result) : '0';
}

export class RequestTrace {
  readonly #options: TraceOptions;
  readonly #began = performance.now();
  /** By slot: what was read of a request before its answer is built over it. */
  readonly #begun: (Begun | undefined)[] = [];

  constructor(options: TraceOptions) {
    this.#options = options;
  }

  /** Its arguments were read. */
  began(request: FuseRequest): void {
    const { slot, opcode, callerPid } = request;
    const words = WORDS.get(opcode)?.(request) ?? '';
    this.#begun[slot] = { milliseconds: performance.now(), pid: callerPid, words };
  }

  /** It gives its slot to others, and begins again later. */
  stoodAside({ slot }: FuseRequest): void {
    this.#begun[slot] = undefined;
  }

  /** @param errno what it was refused with, 0 on success */
  ended(request: FuseRequest, errno: number): void {
    const { slot, inode, handler } = request;
    const begun = this.#begun[slot];
    this.#begun[slot] = undefined;
    const { operations, onlyErrors, line } = this.#options;
    if (operations.size > 0 && !operations.has(handler.name)) return;
    if (onlyErrors && (errno === 0 || handler.agreements.includes(errno))) return;
    const now = performance.now();
    const { milliseconds = now, pid = request.callerPid, words = '' } = begun ?? {};
    const seconds = ((milliseconds - this.#began) / 1000).toFixed(6);
    const answer = errno === 0 ? answerWords(request) : (ERRORS.get(errno) ?? `errno ${errno}`);
    const took = `${(now - milliseconds).toFixed(3)} ms`;
    const what = `${handler.name}(${inode}${words === '' ? '' : `, ${words}`})`;
    line(`${seconds} ${what} = ${answer}, ${took}, pid ${pid}`);
  }
}
