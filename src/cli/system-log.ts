/**
 * The log of the system: systemd's journal where there is one, else syslog.
 *
 * Nothing here waits. Whoever keeps the log may do so on the very volume whose daemon speaks, and
 * would wait for it; so what does not get through at once goes to the file instead. And no path is
 * looked up once the mount is there, but from folders that were opened before.
 */
import { closeSync, constants, fstatSync, openSync, realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { native } from '../native.ts';

/** Whose log it is. */
export interface LogOrigin {
  readonly target: string;
  readonly directory: string;
}

/** systemd.journal-fields(7), or RFC 3164 as syslog(3) sends it. */
type Form = 'journal' | 'syslog';

export interface LogSocket {
  readonly path: string;
  readonly form: Form;
}

const JOURNAL: LogSocket = { path: '/run/systemd/journal/socket', form: 'journal' };
/** The best first. */
export const LOG_SOCKETS: readonly LogSocket[] = [JOURNAL, { path: '/dev/log', form: 'syslog' }];

export const LOG_IDENTIFIER = 'quarry';
const FACILITY_DAEMON = 3;
const NOTICE = 5;
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');
const ENOTCONN = 107;
/** Whoever keeps the log was started anew: ENOTCONN, ECONNREFUSED. */
const RECONNECTS: ReadonlySet<number> = new Set([ENOTCONN, 111]);

function journalText({ target, directory }: LogOrigin, line: string): string {
  const fields = [
    ['MESSAGE', line],
    ['PRIORITY', NOTICE],
    ['SYSLOG_FACILITY', FACILITY_DAEMON],
    ['SYSLOG_IDENTIFIER', LOG_IDENTIFIER],
    ['SYSLOG_PID', process.pid],
    ['QUARRY_TARGET', target],
    ['QUARRY_MOUNT', directory],
  ];
  // A value with a line end would have to be told otherwise; what comes here is one line.
  return fields.map(([name, value]) => `${name}=${String(value).replaceAll('\n', '?')}\n`).join('');
}

function syslogText({ directory }: LogOrigin, line: string, now: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${MONTHS[now.getMonth()]} ${String(now.getDate()).padStart(2)}`;
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(':');
  const where = directory.replaceAll('\n', '?');
  return `<${8 * FACILITY_DAEMON + NOTICE}>${day} ${time} ${LOG_IDENTIFIER}[${process.pid}]: ${where}: ${line}`;
}

export class SystemLog {
  readonly #origin: LogOrigin;
  readonly #form: Form;
  /** The folder of the socket, held open. */
  readonly #folder: number;
  readonly #name: string;
  #socket: number;

  private constructor(origin: LogOrigin, { path, form }: LogSocket) {
    const real = realpathSync(path);
    this.#origin = origin;
    this.#form = form;
    this.#name = basename(real);
    this.#folder = openSync(dirname(real), constants.O_RDONLY | constants.O_DIRECTORY);
    this.#socket = this.#connect();
    if (this.#socket >= 0) return;
    closeSync(this.#folder);
    throw new Error('nobody listens');
  }

  /** Undefined where the system keeps no log. */
  static open(origin: LogOrigin, sockets = LOG_SOCKETS): SystemLog | undefined {
    for (const socket of sockets) {
      try {
        return new SystemLog(origin, socket);
      } catch {
        // The next one.
      }
    }
    return undefined;
  }

  /**
   * The journal, where the descriptor is a stream to it: a line that goes there by itself has
   * fields by which it is found again.
   * @param stream what systemd.exec(5) says of $JOURNAL_STREAM
   */
  static behind(
    descriptor: number,
    origin: LogOrigin,
    { stream = process.env.JOURNAL_STREAM, sockets = [JOURNAL] as readonly LogSocket[] } = {},
  ): SystemLog | undefined {
    if (stream === undefined) return undefined;
    try {
      const { dev, ino } = fstatSync(descriptor, { bigint: true });
      return stream === `${dev}:${ino}` ? SystemLog.open(origin, sockets) : undefined;
    } catch {
      return undefined;
    }
  }

  /** @returns whether the line was taken */
  send(line: string): boolean {
    const isJournal = this.#form === 'journal';
    const text = isJournal ? journalText(this.#origin, line) : syslogText(this.#origin, line, new Date());
    const bytes = Buffer.from(text);
    const errno = this.#socket < 0 ? ENOTCONN : native.sendDatagram(this.#socket, bytes);
    if (!RECONNECTS.has(errno)) return errno === 0;
    if (this.#socket >= 0) closeSync(this.#socket);
    this.#socket = this.#connect();
    return this.#socket >= 0 && native.sendDatagram(this.#socket, bytes) === 0;
  }

  close(): void {
    if (this.#socket >= 0) closeSync(this.#socket);
    closeSync(this.#folder);
  }

  #connect(): number {
    return native.connectDatagram(`/proc/self/fd/${this.#folder}/${this.#name}`);
  }
}
