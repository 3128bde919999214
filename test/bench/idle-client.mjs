/**
 * Opens many connections, makes one small keep-alive request on each, and then just holds them.
 *
 *   node idle-client.mjs FLOWS PATH SERVER_NAME HOST:PORT [HOST:PORT…]
 *
 * Prints `open N` when all have been answered, holds until standard input ends, then prints `left N`: how many
 * were still open at that point. Exits 1 on the first connection that fails while opening.
 */
import net from 'node:net';

const [flows, path, serverName, ...targets] = process.argv.slice(2);
const total = Number(flows);
/** Few enough that no listener's backlog overflows, enough that hand-shakes do not wait for each other. */
const OPENING_AT_ONCE = 32;
const request = `GET ${path} HTTP/1.1\r\nHost: ${serverName}\r\n\r\n`;
let started = 0;
let answered = 0;
let open = 0;

function openNext() {
  if (started === total) return;
  const [host, port] = targets[started % targets.length].split(':');
  started += 1;
  const socket = net.connect({ host, port: Number(port) }, () => socket.write(request));
  socket.on('error', () => {});
  socket.once('data', (chunk) => {
    if (!chunk.toString('latin1').startsWith('HTTP/1.1 200 ')) {
      console.error(`unexpected answer: ${chunk.toString('latin1').split('\r\n')[0]}`);
      process.exit(1);
    }
    socket.on('data', () => {});
    answered += 1;
    open += 1;
    if (answered === total) console.log(`open ${open}`);
    else openNext();
  });
  socket.on('close', () => {
    open -= 1;
    if (answered === total) return;
    console.error(`connection ${started} closed while ${answered} of ${total} were open`);
    process.exit(1);
  });
}

for (let lane = 0; lane < OPENING_AT_ONCE; lane += 1) openNext();
process.stdin.resume();
process.stdin.on('end', () => {
  console.log(`left ${open}`);
  process.exit(0);
});
