#!/usr/bin/env node
/** The `quarry` command. */
import { processTerminal, runCommandLine } from './program.ts';

process.exitCode = await runCommandLine(process.argv.slice(2), processTerminal);
