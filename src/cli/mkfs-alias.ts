#!/usr/bin/env node
/** `mkfs.quarry`: what `mkfs -t quarry` runs. Takes what `quarry mkfs` takes. */
import { processTerminal, runCommandLine } from './program.ts';

process.exitCode = await runCommandLine(['mkfs', ...process.argv.slice(2)], processTerminal);
