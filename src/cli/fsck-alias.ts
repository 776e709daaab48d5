#!/usr/bin/env node
/** `fsck.quarry`: what fsck(8) runs, also at boot. */
import { fsckWords } from './alias-words.ts';
import { processTerminal, runCommandLine } from './program.ts';

process.exitCode = await runCommandLine(fsckWords(process.argv.slice(2)), processTerminal);
