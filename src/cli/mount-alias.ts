#!/usr/bin/env node
/** `mount.quarry`: what mount(8) runs for `-t quarry` and lines of fstab. Exit statuses are those of mount(8). */
import { mountStatus, mountWords } from './alias-words.ts';
import { processTerminal, runCommandLine } from './program.ts';

const status = await runCommandLine(mountWords(process.argv.slice(2)), processTerminal);
process.exitCode = mountStatus(status);
