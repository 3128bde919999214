/**
 * Serves the metrics by TCP, for a Prometheus that scrapes: `GET /metrics` and nothing else. No authentication and no
 * TLS, so it listens only where the operator says, by address. At a restart its listener goes to the next daemon, and who
 * scrapes meanwhile waits.
 *
 * Bounds: connections and the time of a request; nothing of a request is kept.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { deadline } from '../core/deadline.ts';
import { SluiceError } from '../core/errors.ts';
import { duplicateFd } from '../kernel/descriptors.ts';
import { fdOf } from '../proxy/socket-fd.ts';
import { EXPOSITION_TYPE } from './exposition.ts';

/** A scraper or two, and who looks by hand. */
const MAX_CONNECTIONS = 16;
const MAX_HEADER_BYTES = 8 * 1024;
const REQUEST_TIMEOUT_MS = 5_000;
/** For so long answers may be on their way when the listener is handed over. */
const HANDOVER_MS = 500;

export interface MetricsAddress {
  readonly host: string;
  readonly port: number;
}

/** `127.0.0.1:9464` or `[::1]:9464`; null for what has no address: a port alone would be open to everybody. */
export function parseMetricsAddress(text: string): MetricsAddress | null {
  const [, bracketed, plain, digits = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? '';
  const port = Number(digits);
  const wanted = bracketed === undefined ? 4 : 6;
  return isIP(host) === wanted && port >= 1 && port <= 65_535 ? { host, port } : null;
}

/** A listener on its way from one daemon to the next. */
export interface HandedMetrics extends MetricsAddress {
  readonly fd: number;
}

export interface MetricsServer {
  readonly port: number;
  /** Answers nothing any more, and gives its listener: whoever connects from now on waits for the next to answer. */
  handOver(): Promise<HandedMetrics>;
  close(): void;
}

/**
 * @param former the listener of the daemon before, at this very address; it is the server's from now on
 * @throws SluiceError API when the address cannot be listened on
 */
export function serveMetrics(
  { host, port }: MetricsAddress,
  text: () => Promise<string>,
  onError: (error: unknown) => void,
  former: HandedMetrics | null = null,
): Promise<MetricsServer> {
  const limits = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
  };
  const server = createServer(limits, (request, response) => void answer(request, response, text, onError));
  server.maxConnections = MAX_CONNECTIONS;
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new SluiceError('API', `metrics cannot be served at ${host} port ${port}`, { cause })),
    );
    server.listen(former === null ? { port, host } : { fd: former.fd }, () => {
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : port,
        handOver: async () => {
          const fd = duplicateFd(fdOf(server) ?? -1);
          const closed = new Promise((done) => server.close(done));
          server.closeIdleConnections();
          const callOff = deadline(HANDOVER_MS, () => server.closeAllConnections());
          await closed;
          callOff();
          return { host, port, fd };
        },
        close: () => {
          server.close();
          server.closeAllConnections();
        },
      });
    });
  });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  text: () => Promise<string>,
  onError: (error: unknown) => void,
): Promise<void> {
  const reply = (status: number, type: string, body: string): void => {
    // A body is not read.
    if (!request.complete) response.setHeader('connection', 'close');
    response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body);
  };
  const path = request.url?.split('?', 1)[0];
  if (path !== '/metrics') return reply(404, 'text/plain', 'only /metrics\n');
  if (request.method !== 'GET') return reply(405, 'text/plain', 'only GET\n');
  try {
    reply(200, EXPOSITION_TYPE, await text());
  } catch (error) {
    onError(error);
    reply(500, 'text/plain', 'internal error\n');
  }
}
