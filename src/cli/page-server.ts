/**
 * An HTTP server for one page, for the user of this machine who was told its address.
 *
 * It listens on 127.0.0.1 only. Every path begins with a token that cannot be guessed, so other
 * users of the machine, and pages of elsewhere that the browser has open, come no further than 403.
 * The Host header has to be the address itself: a name that someone else's DNS leads here with is
 * refused. There is nothing to write, so nothing but GET is answered; no CORS header lets another
 * page read; and the page may load nothing but what comes from here.
 *
 * Files are a fixed table: no path of a request ever becomes the name of a file.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const HOST = '127.0.0.1';
const TOKEN_BYTES = 16;
/**
 * Connections at once, of which streams are a part; a browser opens six. Other users of the machine
 * can take them too, though nothing comes of it: so there are many, and who asks for nothing is cut
 * off soon.
 */
const MOST_CONNECTIONS = 256;
const IDLE_MILLISECONDS = 2000;
const LIMITS = {
  requestTimeout: IDLE_MILLISECONDS,
  headersTimeout: IDLE_MILLISECONDS,
  keepAliveTimeout: IDLE_MILLISECONDS,
  connectionsCheckingInterval: 500,
};

const HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
};

/** 128 random bits, as part of a path. */
export function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString('hex');
}

/** In a time that says nothing of how much of them is alike. */
function areEqual(first: string, second: string): boolean {
  const [one, other] = [first, second].map((text) => createHash('sha256').update(text).digest());
  return one !== undefined && other !== undefined && timingSafeEqual(one, other);
}

/** What of a request is judged. */
export interface RequestLine {
  readonly method: string | undefined;
  readonly host: string | undefined;
  /** As it stands in the request: path and query. */
  readonly url: string | undefined;
}

/** The path behind the token, or the status that a request is refused with. */
export type Judgement = { readonly path: string } | { readonly status: 403 | 405 };

/** Whether a request is answered, and by what. */
export function judge({ method, host, url }: RequestLine, port: number, token: string): Judgement {
  const hosts = [HOST, 'localhost'].map((name) => (port === 80 ? name : `${name}:${port}`));
  if (host === undefined || !hosts.includes(host.toLowerCase())) return { status: 403 };
  const match = /^\/([^/?#]*)\/([^?#]*)/.exec(url ?? '');
  if (!areEqual(match?.[1] ?? '', token)) return { status: 403 };
  if (method !== 'GET') return { status: 405 };
  return { path: match?.[2] ?? '' };
}

export interface PageFile {
  /** Its media type. */
  readonly type: string;
  readonly read: () => Uint8Array;
}

/** What is served, by paths behind the token; '' is the page itself. */
export interface PageParts {
  readonly files: ReadonlyMap<string, PageFile>;
  /** The path that answers with a stream of events, and who takes it. */
  readonly streamPath: string;
  readonly takeStream: (response: ServerResponse) => void;
}

export class PageServer {
  readonly #parts: PageParts;
  readonly #token: string;
  readonly #server: Server;
  #port = 0;

  constructor(parts: PageParts, token = newToken()) {
    this.#parts = parts;
    this.#token = token;
    this.#server = createServer(LIMITS, (request, response) => this.#answer(request, response));
    this.#server.maxConnections = MOST_CONNECTIONS;
  }

  /**
   * Begins to answer.
   * @param port 0 for any that is free
   * @throws the error of listen(2)
   */
  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host: HOST, port, exclusive: true }, () => {
        this.#server.off('error', reject);
        this.#port = (this.#server.address() as AddressInfo).port;
        resolve();
      });
    });
  }

  /** Where the page is, with the token: for nobody else's eyes. */
  get address(): string {
    return `http://${HOST}:${this.#port}/${this.#token}/`;
  }

  /** Ends all connections, once what was written to them is on its way. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeIdleConnections();
      setTimeout(() => this.#server.closeAllConnections(), 100).unref();
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const { method, url } = request;
    const judged = judge({ method, url, host: request.headers.host }, this.#port, this.#token);
    if ('status' in judged) refuse(response, judged.status);
    else if (judged.path === this.#parts.streamPath) this.#parts.takeStream(response);
    else this.#answerFile(response, judged.path);
  }

  #answerFile(response: ServerResponse, path: string): void {
    const file = this.#parts.files.get(path);
    if (file === undefined) {
      refuse(response, 404);
      return;
    }
    try {
      const bytes = file.read();
      response.setHeader('Content-Type', file.type);
      response.setHeader('Content-Length', bytes.length);
      response.end(bytes);
    } catch {
      refuse(response, 500);
    }
  }
}

const SENTENCES: Readonly<Record<number, string>> = {
  403: "This needs the whole address that 'quarry watch --web' printed.",
  404: 'There is no such thing here.',
  405: 'There is only GET here.',
  500: 'This cannot be read just now.',
  503: 'There are too many pages open.',
};

/** Ends a request with a status and a sentence. The connection ends too: a body may follow. */
export function refuse(response: ServerResponse, status: number): void {
  response.statusCode = status;
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.setHeader('Connection', 'close');
  if (status === 405) response.setHeader('Allow', 'GET');
  response.end(`${SENTENCES[status] ?? ''}\n`);
}
