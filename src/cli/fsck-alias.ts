#!/usr/bin/env node
/** `fsck.quarry`: what fsck(8) runs, also at boot. */
import { fsckWords } from './alias-words.ts';
import { startCommand } from './start.ts';

process.exitCode = await startCommand(fsckWords(process.argv.slice(2)));
