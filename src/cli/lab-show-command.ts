/** `quarry lab show`: a record of a mount as text, an operation a line. */
import { printable, printableJson } from '../common/printable.ts';
import { RecordError } from '../record/record-error.ts';
import type { RecordDescription } from '../record/record-format.ts';
import { RecordReader } from '../record/record-reader.ts';
import {
  RECORDED_SHAPES,
  type RecordedNumber,
  type RecordedOperation,
  RecordedType,
  RecordKind,
} from '../record/recorded-operation.ts';
import {
  argumentAt,
  type CommandDefinition,
  JSON_OPTION,
  type OptionValues,
  optionGiven,
  say,
  type Terminal,
} from './command.ts';
import { CommandError } from './failure.ts';
import { formatSize } from './sizes.ts';

const KIND_NAMES = namesByNumber(RecordKind);
const TYPE_NAMES = namesByNumber(RecordedType);
const FIELD_NAMES: Readonly<Record<RecordedNumber, string>> = {
  inode: 'inode',
  parent: 'in',
  newParent: 'to',
  replaced: 'over',
  type: 'type',
  links: 'links',
  offsetBytes: 'at',
  lengthBytes: 'bytes',
  sizeBytes: 'size',
};

function namesByNumber(table: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(table).map(([name, number]) => [number, name]));
}

function headText({ began, volumeBytes, usedBytes, blockBytes, names }: RecordDescription): string {
  const volume = `${formatSize(volumeBytes)} in blocks of ${formatSize(blockBytes)}, ${formatSize(usedBytes)} used`;
  return `# from ${printable(began)} on; ${volume}; names ${names}\n`;
}

/** `0.534557 create inode=5 in=1 type=file size=0 big` */
function lineOf(operation: RecordedOperation): string {
  const { kind, microseconds, name } = operation;
  const { numbers, hasName } = RECORDED_SHAPES[kind];
  const fields = numbers.map((field) => {
    const value = operation[field];
    return `${FIELD_NAMES[field]}=${field === 'type' ? (TYPE_NAMES.get(value) ?? value) : value}`;
  });
  const words = [(microseconds / 1e6).toFixed(6), KIND_NAMES.get(kind) ?? '', ...fields];
  if (hasName) words.push(printable(Buffer.from(name).toString()));
  return `${words.join(' ')}\n`;
}

function objectOf(operation: RecordedOperation): Record<string, unknown> {
  const { kind, microseconds, name } = operation;
  const { numbers, hasName } = RECORDED_SHAPES[kind];
  return {
    kind: KIND_NAMES.get(kind),
    microseconds,
    ...Object.fromEntries(numbers.map((field) => [field, operation[field]])),
    ...(hasName ? { name: Buffer.from(name).toString() } : {}),
  };
}

function show(reader: RecordReader, asJson: boolean, terminal: Terminal): void {
  // Data for programs is a line for each object: a record may be longer than memory.
  const line = (value: unknown) => terminal.out(`${printableJson(value).replace(/\n\s*/g, '')}\n`);
  if (asJson) line(reader.description);
  else terminal.out(headText(reader.description));
  for (const operation of reader.operations()) {
    if (asJson) line(objectOf(operation));
    else terminal.out(lineOf(operation));
  }
}

async function run(args: readonly string[], options: OptionValues, terminal: Terminal): Promise<number> {
  try {
    const reader = new RecordReader(argumentAt(args, 0));
    try {
      show(reader, optionGiven(options, 'json'), terminal);
      if (!reader.isWhole)
        say(terminal, `${reader.path} was not ended in order: this is what is whole of it`);
    } finally {
      reader.close();
    }
    return 0;
  } catch (thrown) {
    if (thrown instanceof RecordError) throw new CommandError(thrown.message, { cause: thrown });
    throw thrown;
  }
}

export const labShowCommand: CommandDefinition = {
  name: 'show',
  summary: 'show a record of a mount, an operation a line',
  arguments: [{ name: 'file', text: "what 'quarry record' made" }],
  options: [{ ...JSON_OPTION, text: 'a line of JSON for the volume, and for each operation' }],
  usageStatus: 2,
  failureStatus: 1,
  run,
};
