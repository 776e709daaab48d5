/**
 * Names of users, groups and projects: what /etc/passwd, /etc/group and /etc/projid say. Whoever is
 * known elsewhere only (LDAP, sssd) goes by number.
 */
import { readFileSync } from 'node:fs';
import { UsageError } from './failure.ts';

/** Ids are below this. */
const ID_LIMIT = 2 ** 32 - 1;

export type AccountKind = 'user' | 'group' | 'project';

/** Where the names of a kind stand, and at which place of a line the id does. */
const FILES: Readonly<Record<AccountKind, readonly [file: string, place: number]>> = {
  user: ['/etc/passwd', 2],
  group: ['/etc/group', 2],
  project: ['/etc/projid', 1],
};

export class AccountNames {
  readonly #kind: AccountKind;
  readonly #ids = new Map<string, number>();
  readonly #names = new Map<number, string>();

  /** @param text of the file, which has lines of fields parted by colons */
  constructor(kind: AccountKind, text: string) {
    this.#kind = kind;
    for (const line of text.split('\n')) this.#add(line, FILES[kind][1]);
  }

  #add(line: string, place: number): void {
    const fields = line.split(':');
    const name = fields[0]?.trim() ?? '';
    const id = fields[place]?.trim() ?? '';
    if (name === '' || name.startsWith('#') || !/^\d{1,10}$/.test(id)) return;
    // The first of a name, or of an id, is who counts.
    if (!this.#ids.has(name)) this.#ids.set(name, Number(id));
    if (!this.#names.has(Number(id))) this.#names.set(Number(id), name);
  }

  /** Undefined for who has none. */
  nameOf(id: number): string | undefined {
    return this.#names.get(id);
  }

  /** @throws UsageError for a name that is nobody's, or a number that is none */
  idOf(text: string): number {
    if (/^\d+$/.test(text)) {
      if (Number(text) < ID_LIMIT) return Number(text);
      throw new UsageError(`--${this.#kind} ${text}: ids are below ${ID_LIMIT}`);
    }
    const id = this.#ids.get(text);
    if (id !== undefined) return id;
    throw new UsageError(`--${this.#kind} ${text}: ${FILES[this.#kind][0]} knows no such ${this.#kind}`);
  }
}

/** Those of this machine. */
export function accountNames(kind: AccountKind): AccountNames {
  try {
    return new AccountNames(kind, readFileSync(FILES[kind][0], 'utf8'));
  } catch {
    return new AccountNames(kind, '');
  }
}
