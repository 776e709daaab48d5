#!/usr/bin/env node
/** `mkfs.quarry`: what `mkfs -t quarry` runs. Takes what `quarry mkfs` takes. */
import { startCommand } from './start.ts';

process.exitCode = await startCommand(['mkfs', ...process.argv.slice(2)]);
