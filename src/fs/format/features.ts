/**
 * The features of a volume: bits in its superblock that say what may be found on it.
 *
 * Each has a class, which says what whoever does not know its bit may do: pass over it
 * (`compatible`), read the volume and not write it (`readOnly`), or neither (`incompatible`). This
 * table is the only place that knows them; mkfs sets them, and mount, fsck, repair, info and dump
 * ask here.
 */
import { Superblock } from './format.ts';

export type FeatureClass = 'compatible' | 'readOnly' | 'incompatible';

export interface Feature {
  readonly name: string;
  readonly featureClass: FeatureClass;
  readonly bit: number;
  /** What it lets a volume have, for people. */
  readonly text: string;
  /** A new volume has it only if it is asked for. */
  readonly onRequest?: boolean;
}

export const FEATURES: readonly Feature[] = [
  { name: 'attributes', featureClass: 'incompatible', bit: 0, text: 'extended attributes' },
  {
    name: 'unwritten',
    featureClass: 'incompatible',
    bit: 1,
    text: 'blocks that are allocated and read as zeros',
  },
  {
    name: 'quota',
    featureClass: 'readOnly',
    bit: 0,
    text: 'usage and limits of users, groups and projects',
    onRequest: true,
  },
];

const CLASSES: readonly FeatureClass[] = ['compatible', 'readOnly', 'incompatible'];

const FIELDS = {
  compatible: Superblock.compatibleFeatures,
  readOnly: Superblock.readOnlyFeatures,
  incompatible: Superblock.incompatibleFeatures,
} as const;

/** The bits of one class, exact up to the last. */
function bitsOf(view: DataView, featureClass: FeatureClass): bigint {
  return view.getBigUint64(FIELDS[featureClass].offset, true);
}

function knownBits(featureClass: FeatureClass): bigint {
  let bits = 0n;
  for (const feature of FEATURES)
    if (feature.featureClass === featureClass) bits |= 1n << BigInt(feature.bit);
  return bits;
}

/**
 * The bits of a class that this program does not know, as '0x4'; undefined if there are none.
 * @param view of a superblock
 */
export function unknownFeatures(view: DataView, featureClass: FeatureClass): string | undefined {
  const unknown = bitsOf(view, featureClass) & ~knownBits(featureClass);
  return unknown === 0n ? undefined : `0x${unknown.toString(16)}`;
}

/** @param view of a superblock */
export function hasFeature(view: DataView, name: string): boolean {
  const feature = FEATURES.find((candidate) => candidate.name === name);
  if (feature === undefined) throw new Error(`there is no feature '${name}'`);
  return (bitsOf(view, feature.featureClass) & (1n << BigInt(feature.bit))) !== 0n;
}

/** What bits of one class say: names in the order of the table, then what is unknown, as '0x4'. */
export function namesOfBits(featureClass: FeatureClass, bits: bigint): string[] {
  const known = FEATURES.filter((feature) => feature.featureClass === featureClass);
  const names = known.filter(({ bit }) => (bits & (1n << BigInt(bit))) !== 0n).map(({ name }) => name);
  const unknown = bits & ~knownBits(featureClass);
  return unknown === 0n ? names : [...names, `0x${unknown.toString(16)}`];
}

/**
 * Names of the features of a volume, class by class; what is unknown as its bits.
 * @param view of a superblock
 */
export function featureNames(view: DataView): string[] {
  return CLASSES.flatMap((featureClass) => namesOfBits(featureClass, bitsOf(view, featureClass)));
}

/** Names of the features of a volume that this program knows. @param view of a superblock */
export function knownFeatureNames(view: DataView): string[] {
  return FEATURES.filter(({ name }) => hasFeature(view, name)).map(({ name }) => name);
}

/**
 * Adds the known features of another superblock of the volume: a bit says what may be found, so one
 * too many does no harm.
 */
export function joinFeatures(view: DataView, other: DataView): void {
  for (const featureClass of CLASSES) {
    const joined = bitsOf(view, featureClass) | (bitsOf(other, featureClass) & knownBits(featureClass));
    view.setBigUint64(FIELDS[featureClass].offset, joined, true);
  }
}

/** Sets or clears one feature. @param view of a superblock */
export function setFeature(view: DataView, name: string, on: boolean): void {
  const names = new Set(knownFeatureNames(view));
  if (on) names.add(name);
  else names.delete(name);
  setFeatures(view, names);
}

/** Sets exactly these features. @param view of a superblock */
export function setFeatures(view: DataView, names: ReadonlySet<string>): void {
  for (const featureClass of CLASSES) {
    let bits = 0n;
    for (const feature of FEATURES) {
      if (feature.featureClass === featureClass && names.has(feature.name)) bits |= 1n << BigInt(feature.bit);
    }
    view.setBigUint64(FIELDS[featureClass].offset, bits, true);
  }
}

/** What a new volume has if nobody says otherwise: all but those for who asks. */
export function defaultFeatures(): Set<string> {
  return new Set(FEATURES.filter(({ onRequest }) => !onRequest).map(({ name }) => name));
}

/**
 * The default features, changed by a list such as 'attributes,^unwritten'.
 * @throws RangeError with a sentence for the user, for a name that is none
 */
export function featuresByList(list: string): Set<string> {
  const features = defaultFeatures();
  for (const word of list.split(',')) {
    const isOff = word.startsWith('^');
    const name = isOff ? word.slice(1) : word;
    if (!FEATURES.some((feature) => feature.name === name)) {
      const known = FEATURES.map((feature) => feature.name).join(', ');
      throw new RangeError(`there is no feature '${name}': known are ${known}`);
    }
    if (isOff) features.delete(name);
    else features.add(name);
  }
  return features;
}

/**
 * Why a volume with these unknown features is refused.
 * @param bits as `unknownFeatures` gives them
 */
export function refusedFor(bits: string): string {
  return `it uses features that this version does not know (${bits}): use a newer one`;
}

/** Why a volume with these unknown features is read and not written. */
export function onlyReadable(bits: string): string {
  return `it uses features with which this version may only read it (${bits})`;
}
