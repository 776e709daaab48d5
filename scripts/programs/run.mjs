// @ts-check
/** Running other people's programs: one that fails is an error that says what it said. */
import { spawn } from 'node:child_process';

const LIMIT_MS = 15 * 60_000;
const MOST_TOLD = 2000;

/** What a case needs is not on this machine. */
export class Missing extends Error {}

/**
 * Runs a program until it ends, and kills it, and only it, at the limit.
 * @param {string} program
 * @param {string[]} args
 * @param {{ cwd?: string, env?: Record<string, string>, input?: string }} [options]
 * @returns {Promise<string>} its standard output
 */
export function run(program, args, { cwd, env = {}, input = '' } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env } });
    let out = '';
    let all = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      out += chunk;
      all += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      all += chunk;
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (code === 0) return resolve(out);
      const words = [program, ...args].join(' ').slice(0, 300);
      reject(new Error(`${words}: ${signal ?? `exit status ${code}`}\n${all.trim().slice(-MOST_TOLD)}`));
    });
  });
}

/**
 * A script of the shell that ends at the first command that fails.
 * @param {string} script
 * @param {{ cwd?: string, env?: Record<string, string> }} [options]
 */
export function shell(script, options) {
  return run('bash', ['-c', `set -euo pipefail\n${script}`], options);
}

/**
 * @param {...string} programs
 * @throws Missing
 */
export async function need(...programs) {
  for (const program of programs) {
    await run('bash', ['-c', 'command -v "$1"', '-', program]).catch(() => {
      throw new Missing(`${program} is not installed`);
    });
  }
}

/**
 * @param {boolean} holds
 * @param {string} what
 */
export function demand(holds, what) {
  if (!holds) throw new Error(what);
}
