#!/usr/bin/env node
/** The `quarry` command. */
import { programWords } from './alias-words.ts';
import { startCommand } from './start.ts';

process.exitCode = await startCommand(programWords(process.argv.slice(2)));
