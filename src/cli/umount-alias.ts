#!/usr/bin/env node
/**
 * `umount.fuse.quarry` and `umount.fuseblk.quarry`: what umount(8) runs for these types, so that it
 * too returns when the volume is consistent. Exit statuses are those of mount(8).
 */
import { mountStatus, umountWords } from './alias-words.ts';
import { startCommand } from './start.ts';

const status = await startCommand(umountWords(process.argv.slice(2)));
process.exitCode = mountStatus(status);
