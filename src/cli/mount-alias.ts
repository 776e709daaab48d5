#!/usr/bin/env node
/**
 * `mount.quarry`: what mount(8) runs for `-t quarry` and lines of fstab. Exit statuses are those of
 * mount(8).
 */
import { mountStatus, mountWords } from './alias-words.ts';
import { startCommand } from './start.ts';

const status = await startCommand(mountWords(process.argv.slice(2)));
process.exitCode = mountStatus(status);
