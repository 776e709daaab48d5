/** All cases, by subject. */
import { accessLists } from './cases/access-lists.ts';
import { ends, sparse } from './cases/content.ts';
import { create } from './cases/create.ts';
import { directories } from './cases/directories.ts';
import { extendedAttributes } from './cases/extended-attributes.ts';
import { flags } from './cases/flags.ts';
import { limits } from './cases/limits.ts';
import { link } from './cases/link.ts';
import { listing } from './cases/listing.ts';
import { names } from './cases/names.ts';
import { orphans } from './cases/orphans.ts';
import { permissions } from './cases/permissions.ts';
import { quotas } from './cases/quotas.ts';
import { copyRange, fallocate, fullAllocated, seek } from './cases/ranges.ts';
import { rename } from './cases/rename.ts';
import { setId } from './cases/set-id.ts';
import { fullDisk, statfs } from './cases/space.ts';
import { symlink } from './cases/symlink.ts';
import { times } from './cases/times.ts';
import { unlink } from './cases/unlink.ts';
import { unnamed } from './cases/unnamed.ts';
import { whiteout } from './cases/whiteout.ts';
import type { Subject } from './subject.ts';

export const SUBJECTS: readonly Subject[] = [
  unlink,
  rename,
  link,
  symlink,
  directories,
  create,
  times,
  permissions,
  setId,
  extendedAttributes,
  accessLists,
  sparse,
  ends,
  fallocate,
  seek,
  copyRange,
  listing,
  names,
  limits,
  statfs,
  fullDisk,
  fullAllocated,
  orphans,
  unnamed,
  whiteout,
  flags,
  quotas,
];
