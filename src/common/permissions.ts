/** Who may do what, as the system has it. */

/** Of a mode, what chmod(2) changes. */
export const PERMISSION_BITS = 0o7777;

export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}
