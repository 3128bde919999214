/**
 * The daemon's API: HTTP/1.1 over a unix socket that only root may open. It checks and bounds what comes in,
 * calls the backend, and writes JSON. It holds no state but the clients that follow flows.
 *
 * Bounds: connections, time to send a request, size of a body, time of a call, clients that follow, records
 * queued for each of them. A caller that exceeds one gets an error of its own and disturbs nobody else.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Answerer } from '../flow/hold.ts';
import type { FlowRecord } from '../flow/record.ts';
import { readJsonObject } from './body.ts';
import { ApiError, toWire } from './errors.ts';
import { flowMatcher, parseFlowQuery } from './flow-filter.ts';
import { FOLLOW_DEFAULTS, FollowClient, type FollowOptions } from './follow.ts';
import { FOLLOW_HOLDS_PATH, FOLLOW_PATH } from './paths.ts';
import { peerOf } from './peer.ts';
import { findRoute } from './routes.ts';
import type { ApiBackend, FollowEvent, FollowedHold, HoldStatus } from './types.ts';
import { listenPrivately } from './unix-socket.ts';

/** People at terminals, a console, an exporter: far fewer than this. */
const MAX_CONNECTIONS = 128;

/** Each may hold a queue of a few megabytes. */
const MAX_FOLLOWERS = 32;

/** Headers here are a few hundred bytes. */
const MAX_HEADER_BYTES = 8 * 1024;

const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;

/** A self-test may wait for several connects of its own; nothing else comes near it. */
const CALL_TIMEOUT_MS = 60_000;

const CLOSE_GRACE_MS = 2_000;

export interface ServeOptions {
  readonly follow?: Partial<FollowOptions>;
  readonly callTimeoutMs?: number;
  /** Told of errors whose text the caller must not see. */
  readonly onError?: (error: unknown) => void;
}

export interface ApiServer {
  readonly path: string;
  /** Ends the streams with an `end` line, lets running calls finish, removes the socket. */
  close(): Promise<void>;
}

/** Serves `backend` at `path`. Throws what `listenPrivately` throws. */
export async function serveApi(
  path: string,
  backend: ApiBackend,
  options: ServeOptions = {},
): Promise<ApiServer> {
  const handler = new Handler(backend, options);
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
    },
    (request, response) => void handler.handle(request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  await listenPrivately(server, path);
  return { path, close: () => closeServer(server, handler) };
}

function closeServer(server: Server, handler: Handler): Promise<void> {
  return new Promise((resolve) => {
    // A client that does not read must not keep the daemon from stopping.
    const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    handler.endFollowers();
  });
}

/** What a client may follow. */
interface Followed<T> {
  readonly event: (item: T) => object;
  readonly subscribe: (send: (item: T) => void) => () => void;
  /** What there is by now. */
  readonly replay: () => Promise<readonly T[]>;
}

class Handler {
  readonly #backend: ApiBackend;
  readonly #followOptions: FollowOptions;
  readonly #callTimeoutMs: number;
  readonly #onError: (error: unknown) => void;
  readonly #followers = new Set<{ end(): void }>();

  constructor(backend: ApiBackend, options: ServeOptions) {
    this.#backend = backend;
    this.#followOptions = { ...FOLLOW_DEFAULTS, ...options.follow };
    this.#callTimeoutMs = options.callTimeoutMs ?? CALL_TIMEOUT_MS;
    this.#onError = options.onError ?? (() => undefined);
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = URL.parse(request.url ?? '/', 'http://sluice');
      if (url === null) throw new ApiError('BAD_REQUEST', 'the target is not a URL');
      if (url.pathname === FOLLOW_PATH && request.method === 'GET') await this.#followFlows(url, response);
      else if (url.pathname === FOLLOW_HOLDS_PATH && request.method === 'GET')
        await this.#followHolds(response);
      else await this.#answer(request, url, response);
    } catch (error) {
      this.#fail(error, request, response);
    }
  }

  endFollowers(): void {
    for (const client of this.#followers) client.end();
  }

  async #answer(request: IncomingMessage, url: URL, response: ServerResponse): Promise<void> {
    const route = findRoute(request.method ?? '', url.pathname);
    const body = route.maxBodyBytes === 0 ? {} : await readJsonObject(request, route.maxBodyBytes);
    const peer = (): Answerer => peerOf(request.socket);
    const call = route.call(this.#backend, { query: url.searchParams, body, peer });
    const answer = await this.#inTime(call);
    if (route.contentType === undefined) writeJson(response, 200, answer);
    else write(response, 200, route.contentType, String(answer));
  }

  async #followFlows(url: URL, response: ServerResponse): Promise<void> {
    const filter = parseFlowQuery(url.searchParams);
    const matches = flowMatcher(filter);
    await this.#follow<FlowRecord>(response, {
      event: (flow) => ({ type: 'flow', flow }) satisfies FollowEvent,
      subscribe: (send) =>
        this.#backend.onFlow((record) => {
          if (matches(record)) send(record);
        }),
      replay: async () => (filter.sinceMs === null ? [] : await this.#backend.flows(filter)),
    });
  }

  async #followHolds(response: ServerResponse): Promise<void> {
    await this.#follow<HoldStatus>(response, {
      event: (hold) => ({ type: 'hold', hold }) satisfies FollowedHold,
      subscribe: (send) => this.#backend.onHold(send),
      replay: async () => (await this.#backend.holds()).holds,
    });
  }

  async #follow<T extends { readonly id: string }>(
    response: ServerResponse,
    followed: Followed<T>,
  ): Promise<void> {
    if (this.#followers.size >= MAX_FOLLOWERS) {
      throw new ApiError('BUSY', `${MAX_FOLLOWERS} clients follow already`, { hint: 'end one of them' });
    }
    const client = new FollowClient<T>(response, this.#followOptions, followed.event);
    this.#followers.add(client);
    // Before the stored records are read, so that none falls between the two.
    const unsubscribe = followed.subscribe((item) => client.send(item));
    response.once('close', () => {
      this.#followers.delete(client);
      unsubscribe();
    });
    client.start(await this.#inTime(followed.replay()));
  }

  async #inTime<T>(call: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(
        new ApiError('TIMEOUT', 'the daemon did not finish in time', { hint: "see the daemon's log" }),
      );
    }, this.#callTimeoutMs);
    try {
      return await Promise.race([call, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  #fail(error: unknown, request: IncomingMessage, response: ServerResponse): void {
    const { status, body } = toWire(error);
    if (status >= 500) this.#onError(error);
    if (response.headersSent) {
      response.destroy();
      return;
    }
    // What is left of a body that was refused is not read, so the connection cannot be used again.
    if (!request.complete) response.setHeader('connection', 'close');
    writeJson(response, status, body);
  }
}

function writeJson(response: ServerResponse, status: number, value: unknown): void {
  write(response, status, 'application/json', JSON.stringify(value));
}

function write(response: ServerResponse, status: number, contentType: string, text: string): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
  });
  response.end(text);
}
