/**
 * The ioctls that any file stands for its volume in: label, id, shutdown, trim. Commands and
 * structures as in linux/fs.h.
 *
 * What they change is for root and for whoever serves the mount: the kernel asks nobody for us.
 */
import { viewOf } from '../common/bytes.ts';
import { record, U64 } from '../common/record.ts';
import { fsError } from '../fs/base/errors.ts';
import type { ShutdownManner, WholeVolume } from '../fs/base/filesystem.ts';
import { exact, IoctlIn } from './abi.ts';
import { memoryLater } from './calling-thread.ts';
import type { IoctlCommand } from './ioctl-command.ts';
import type { FuseRequest } from './request.ts';

/** FSLABEL_MAX: the label, padded with NUL. */
const LABEL_BYTES = 256;
/** struct fsuuid2: a length of 8 bits, and the id. */
const UUID_BYTES = 17;

/** In bytes; the length may be the largest that there is. */
const TrimRange = record('struct fstrim_range', 24, {
  start: new U64(0),
  length: new U64(8),
  minimum: new U64(16),
});

/** FS_SHUTDOWN_FLAGS_DEFAULT, _LOGFLUSH, _NOLOGFLUSH. */
const MANNERS: readonly ShutdownManner[] = ['settled', 'committed', 'at once'];

const NOTHING = new Uint8Array(0);

function wholeOf({ conversation }: FuseRequest): WholeVolume {
  const { whole } = conversation.filesystem;
  if (whole === undefined) throw fsError('ENOSYS');
  return whole;
}

/** @throws EPERM */
function expectOwner({ asker }: FuseRequest): void {
  const { uid } = asker;
  if (uid !== 0 && uid !== process.geteuid?.()) throw fsError('EPERM');
}

async function getLabel(request: FuseRequest): Promise<Uint8Array> {
  const bytes = new Uint8Array(LABEL_BYTES);
  bytes.set(wholeOf(request).label);
  return bytes;
}

async function setLabel(request: FuseRequest): Promise<Uint8Array> {
  expectOwner(request);
  const { bytes } = request.passed;
  const end = bytes.indexOf(0);
  if (end < 0) throw fsError('EINVAL');
  await wholeOf(request).setLabel(bytes.slice(0, end));
  return NOTHING;
}

/** Linux asks from 6.9 on nobody but itself, and knows of no id of a FUSE filesystem. */
async function getUuid(request: FuseRequest): Promise<Uint8Array> {
  const { uuid } = wholeOf(request);
  return new Uint8Array([uuid.length, ...uuid]);
}

/**
 * The command says that its argument is written to, so the kernel does not bring it: it is read
 * where whoever asks has it.
 */
async function shutDown(request: FuseRequest): Promise<Uint8Array> {
  expectOwner(request);
  const { wire, bodyAt, callerPid } = request;
  const address = exact(IoctlIn.arg, wire.view, bodyAt, 'EFAULT');
  const mode = (await memoryLater(callerPid, BigInt(address), 4))?.readUInt32LE(0);
  if (mode === undefined) throw fsError('EFAULT');
  const manner = MANNERS[mode];
  if (manner === undefined) throw fsError('EINVAL');
  await wholeOf(request).shutDown(manner);
  return NOTHING;
}

/** In the structure the length comes back as what was discarded. For root, as the others. */
async function trim(request: FuseRequest): Promise<Uint8Array> {
  expectOwner(request);
  const whole = wholeOf(request);
  const bytes = request.passed.bytes.slice(0, TrimRange.sizeBytes);
  const view = viewOf(bytes);
  const trimmed = await whole.trim({
    startBytes: TrimRange.start.get(view, 0),
    lengthBytes: TrimRange.length.get(view, 0),
    minimumBytes: TrimRange.minimum.get(view, 0),
  });
  TrimRange.length.set(view, 0, trimmed);
  return bytes;
}

export const volumeIoctls: readonly (readonly [command: number, rule: IoctlCommand])[] = [
  // FS_IOC_GETFSLABEL, FS_IOC_SETFSLABEL
  [0x8100_9431, { inBytes: 0, outBytes: LABEL_BYTES, run: getLabel }],
  [0x4100_9432, { inBytes: LABEL_BYTES, outBytes: 0, run: setLabel }],
  // FS_IOC_GETFSUUID
  [0x8011_1500, { inBytes: 0, outBytes: UUID_BYTES, run: getUuid }],
  // FS_IOC_SHUTDOWN of xfs, ext4, f2fs
  [0x8004_587d, { inBytes: 0, outBytes: 0, run: shutDown }],
  // FITRIM
  [0xc018_5879, { inBytes: TrimRange.sizeBytes, outBytes: TrimRange.sizeBytes, run: trim }],
];
