/**
 * Asks PostgreSQL one thing and counts the bytes of the answer, without keeping or reading them: psql would cost many times what
 * carries the bytes, on the processor the server has.
 *
 *   node rows-client.mjs HOST PORT TLS-NAME|- CA-FILE STATEMENT
 *
 * Prints rows (as the server counted them), bytes and seconds as one line of JSON. No library and no types: it is a load generator.
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { connect as secure } from 'node:tls';

const [host, port, tlsName, caFile, statement] = process.argv.slice(2);
/** "Message Formats" of PostgreSQL's protocol. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
/** ReadyForQuery outside of a transaction; before it, at the end of a result, stands CommandComplete. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
const COMPLETE = /SELECT (\d+)\0$/;
const TAIL_BYTES = 64;

function startup() {
  const text = Buffer.from('user\0bench\0database\0bench\0application_name\0rows\0\0', 'latin1');
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + text.length, 0);
  head.writeUInt32BE(196_608, 4);
  return Buffer.concat([head, text]);
}

function query(text) {
  const body = Buffer.from(`${text}\0`, 'utf8');
  const head = Buffer.alloc(5);
  head.write('Q', 'latin1');
  head.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

async function open() {
  const raw = connect({ host, port: Number(port), noDelay: true });
  await new Promise((resolve, reject) => {
    raw.once('connect', resolve);
    raw.once('error', reject);
  });
  if (tlsName === '-') return raw;
  raw.write(SSL_REQUEST);
  const [answer] = await new Promise((resolve) => raw.once('data', resolve));
  if (answer !== 0x53) throw new Error('the server has no TLS');
  const socket = secure({ socket: raw, ca: readFileSync(caFile), servername: tlsName });
  await new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  });
  return socket;
}

const socket = await open();
let tail = Buffer.alloc(0);
let bytes = 0;
let began = 0;

function fail(what) {
  process.stderr.write(`${what}: ${tail.toString('latin1')}\n`);
  process.exit(1);
}

socket.on('error', ({ message }) => fail(message));
socket.on('close', () => fail('the connection has ended'));
socket.on('data', (chunk) => {
  bytes += chunk.length;
  const isShort = chunk.length < TAIL_BYTES;
  tail = isShort ? Buffer.concat([tail, chunk]).subarray(-TAIL_BYTES) : chunk.subarray(-TAIL_BYTES);
  if (!tail.subarray(-READY.length).equals(READY)) return;
  if (began === 0) {
    began = performance.now();
    bytes = 0;
    socket.write(query(statement));
    return;
  }
  const rows = COMPLETE.exec(tail.toString('latin1', 0, tail.length - READY.length))?.[1];
  if (rows === undefined) return;
  const seconds = (performance.now() - began) / 1000;
  process.stdout.write(`${JSON.stringify({ rows: Number(rows), bytes, seconds })}\n`, () => process.exit(0));
});
socket.write(startup());
