/**
 * The badly behaved servers of the far side, in one process of its own inside the far namespace:
 *
 *   node raw-servers-main.ts CERT KEY BAD_CERT BAD_KEY
 *
 * Orders come as lines of JSON on stdin, answers leave as lines of JSON on stdout; see raw-servers.ts, which is
 * the only caller. Each server has a port of its own (`RAW_PORTS`) and records what it received.
 */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { createServer as createTlsServer, TLSSocket, type TlsOptions } from 'node:tls';
import { FAR } from './network.ts';
import { RAW_PORTS, type RawName, UDP_PORTS } from './raw-ports.ts';

const [certPath = '', keyPath = '', badCertPath = '', badKeyPath = ''] = process.argv.slice(2);
const good: TlsOptions = { cert: readFileSync(certPath), key: readFileSync(keyPath), allowHalfOpen: true };
const bad: TlsOptions = { cert: readFileSync(badCertPath), key: readFileSync(badKeyPath) };

/** What each server received, as the application sees it (after TLS where it speaks TLS). */
const received = new Map<string, Buffer[]>();
const connections = new Map<string, number>();
/** Connections of `slow` that have not been told to read. */
const paused = new Set<TLSSocket>();

function record(name: string, chunk: Buffer): void {
  const chunks = received.get(name) ?? [];
  chunks.push(chunk);
  received.set(name, chunks);
}

function tell(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function count(name: string): void {
  connections.set(name, (connections.get(name) ?? 0) + 1);
}

function plain(name: RawName, serve: (socket: Socket) => void): Server {
  return createServer({ allowHalfOpen: true }, (socket) => {
    count(name);
    socket.on('error', () => {});
    socket.on('data', (chunk) => record(name, chunk));
    if (name !== 'hang' && name !== 'postgresHangs') socket.on('end', () => socket.end());
    serve(socket);
  });
}

function tls(name: RawName, serve: (socket: TLSSocket) => void): Server {
  const server = createTlsServer(good, (socket) => {
    count(name);
    socket.on('error', () => {});
    serve(socket);
  });
  server.on('tlsClientError', () => {});
  return server;
}

function echo(socket: TLSSocket): void {
  let total = 0;
  socket.on('data', (chunk: Buffer) => {
    total += chunk.length;
    record('echo', chunk);
    if (!socket.write(chunk)) {
      socket.pause();
      socket.once('drain', () => socket.resume());
    }
  });
  // Written after the client's end has arrived: it proves that one direction can close before the other.
  socket.on('end', () => socket.end(`\nend ${total}\n`));
}

/** Answers a line with a number in it by that many bytes, and closes. */
function source(socket: TLSSocket): void {
  // Of who has asked nothing: a connection that is half open stays for minutes otherwise.
  socket.once('end', () => socket.end());
  socket.once('data', (line: Buffer) => {
    let left = Number(line.toString().trim());
    const chunk = Buffer.alloc(65_536, 'sluice-source-');
    const more = (): void => {
      while (left > 0) {
        const part = chunk.subarray(0, Math.min(left, chunk.length));
        left -= part.length;
        if (!socket.write(part)) {
          socket.once('drain', more);
          return;
        }
      }
      socket.end();
    };
    more();
  });
}

/** A TLSSocket cannot be reset, but the plain socket it was put around can. */
function resetLater(socket: Socket): void {
  count('resetLater');
  socket.on('error', () => {});
  const secured = new TLSSocket(socket, { isServer: true, ...good });
  secured.on('error', () => {});
  secured.once('data', () => socket.resetAndDestroy());
}

/** The FIN is the plain socket's: the TLS around it does not get to say that it was all. */
function cutShort(socket: Socket): void {
  count('cutShort');
  socket.on('error', () => {});
  const secured = new TLSSocket(socket, { isServer: true, ...good });
  secured.on('error', () => {});
  secured.once('data', (request: Buffer) => {
    const length = request.includes('/half') ? 'Content-Length: 8\r\n' : '';
    secured.write(`HTTP/1.0 200 OK\r\n${length}\r\nhalf`, () => socket.end());
  });
}

function postgresUntrusted(socket: Socket): void {
  socket.once('data', () => {
    socket.removeAllListeners('data');
    socket.write('S', () => {
      const secured = new TLSSocket(socket, { isServer: true, ...bad });
      secured.on('data', (chunk: Buffer) => record('postgresUntrusted', chunk));
      secured.on('error', () => socket.destroy());
    });
  });
}

const servers: Record<RawName, Server> = {
  hang: plain('hang', () => {}),
  reset: plain('reset', (socket) => socket.once('data', () => socket.resetAndDestroy())),
  finish: plain('finish', (socket) => socket.once('data', () => socket.end())),
  plain: plain('plain', (socket) =>
    socket.once('data', () => socket.write('220 I only speak plain text\r\n')),
  ),
  echo: tls('echo', echo),
  source: tls('source', source),
  slow: tls('slow', (socket) => {
    socket.pause();
    paused.add(socket);
    socket.on('data', (chunk: Buffer) => record('slow', chunk));
    socket.on('end', () => socket.end('read all\n'));
    socket.on('close', () => paused.delete(socket));
  }),
  resetLater: createServer(resetLater),
  cutShort: createServer(cutShort),
  postgresRefuses: plain('postgresRefuses', (socket) => socket.once('data', () => socket.write('N'))),
  postgresUntrusted: plain('postgresUntrusted', postgresUntrusted),
  postgresHangs: plain('postgresHangs', () => {}),
};

/** The least of DNS (RFC 1035): every name ending in `.test` is at the far side; all else does not exist. */
function answerDns(query: Buffer): Buffer {
  const questionEnd = query.indexOf(0, 12) + 5;
  const type = query.readUInt16BE(questionEnd - 4);
  const known = query
    .subarray(12, questionEnd - 4)
    .toString('latin1')
    .toLowerCase()
    .endsWith('\x04test\x00');
  const v6 = `fd000198${'0'.repeat(23)}2`;
  const addresses: Record<number, Buffer> = {
    1: Buffer.from(FAR.ipv4.split('.').map(Number)),
    28: Buffer.from(v6, 'hex'),
  };
  const address = known ? addresses[type] : undefined;
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(known ? 0x8580 : 0x8583, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(address === undefined ? 0 : 1, 6);
  header.writeUInt32BE(0, 8);
  if (address === undefined) return Buffer.concat([header, query.subarray(12, questionEnd)]);
  // Name: a pointer to the question. Class IN, 60 s.
  const record = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, address.length]);
  return Buffer.concat([header, query.subarray(12, questionEnd), record, address]);
}

function serveUdp(port: number, name: string, answer: (message: Buffer) => Buffer): Promise<void> {
  // At every address but those somebody has by name, as a name server of its own may.
  const socket = createSocket({ type: 'udp6', reuseAddr: true });
  socket.on('error', (error) => tell({ error: error.message }));
  socket.on('message', (message, from) => {
    count(name);
    record(name, message);
    socket.send(answer(message), from.port, from.address);
  });
  return new Promise((resolve) => socket.bind(port, '::', resolve));
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line) as { id: number; do: string; name: string };
  if (order.do === 'received') {
    const bytes = Buffer.concat(received.get(order.name) ?? []);
    tell({ id: order.id, value: bytes.toString('base64') });
  } else if (order.do === 'receivedBytes') {
    const chunks = received.get(order.name) ?? [];
    tell({ id: order.id, value: chunks.reduce((sum, chunk) => sum + chunk.length, 0) });
  } else if (order.do === 'connections') {
    tell({ id: order.id, value: connections.get(order.name) ?? 0 });
  } else {
    for (const socket of paused) socket.resume();
    tell({ id: order.id, value: paused.size });
  }
});

await Promise.all([
  ...Object.entries(servers).map(
    ([name, server]) =>
      new Promise<void>((resolve) => server.listen(RAW_PORTS[name as RawName], '::', 2048, resolve)),
  ),
  serveUdp(UDP_PORTS.dns, 'dns', answerDns),
  serveUdp(UDP_PORTS.echo, 'udpEcho', (message) => message),
]);
tell({ ready: true });
