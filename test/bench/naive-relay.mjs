/**
 * The yardstick: what anybody would write in twenty lines of Node. Plain TCP in, verified TLS out, two
 * sockets piped into each other. No identity, no policy, no record. Sluice must cost no more than this.
 *
 *   node naive-relay.mjs LISTEN_HOST:PORT TARGET_HOST:PORT SERVER_NAME CA_FILE [postgres]
 *
 * With `postgres`, TLS is asked for by SSLRequest first (PostgreSQL protocol, "SSL Session Encryption").
 * It is plain JavaScript on purpose: nothing stands between it and the runtime it measures.
 */
import { readFileSync } from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';

const [listen, target, servername, caFile, protocol] = process.argv.slice(2);
const [listenHost, listenPort] = listen.split(':');
const [targetHost, targetPort] = target.split(':');
// Made once: a context per connection would parse the CA file every time and flatter whoever is compared.
const secureContext = tls.createSecureContext({ ca: readFileSync(caFile) });
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

// The last ticket resumes the next connection, as the C proxies do by default.
let session;

const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (agent) => {
  const socket = net.connect({
    host: targetHost,
    port: Number(targetPort),
    allowHalfOpen: true,
    noDelay: true,
  });
  agent.on('error', () => socket.destroy());
  socket.on('error', () => agent.destroy());
  if (protocol !== 'postgres') return secure(agent, socket);
  socket.write(SSL_REQUEST);
  socket.once('data', (answer) => {
    if (answer.toString('latin1') === 'S') secure(agent, socket);
    else socket.destroy();
  });
});

function secure(agent, socket) {
  const upstream = tls.connect({ socket, servername, secureContext, session });
  upstream.on('session', (ticket) => {
    session = ticket;
  });
  upstream.on('error', () => agent.destroy());
  agent.on('close', () => upstream.destroy());
  upstream.on('close', () => agent.destroy());
  agent.pipe(upstream);
  upstream.pipe(agent);
}

server.listen({ host: listenHost, port: Number(listenPort), backlog: 4096 });
