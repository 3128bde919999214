/**
 * Holds back small writes until the end of the turn of the event loop, so that they leave in one system call.
 *
 * TLS hands over one record (16 KiB at most) at a time, several per turn when data pours in; written one by
 * one each costs a send(2). One `setImmediate` serves every socket of the process.
 *
 * Bytes that are borrowed are copied, all into the same memory: it stays in the processor's cache, and is free again as soon as
 * the kernel has taken them, which is nearly always at once.
 */
import type { Writable } from 'node:stream';

/** A full TLS record (RFC 8446 §5.1: 2^14 bytes) announces more in the same turn. */
export const FULL_RECORD_BYTES = 16_384;
/** So does one of a PostgreSQL server that sends rows: it writes 8 KiB at a time. Less is the end of what was there. */
const LONG_RECORD_BYTES = 8_192;
/** What a socket reads at once, in records. */
const BATCH_BYTES = 65_536;

let waiting: Writable[] = [];

/** Corks `stream` until the current turn of the event loop is over. Call once per `cork`. */
export function corkForThisTurn(stream: Writable): void {
  stream.cork();
  if (waiting.push(stream) === 1) setImmediate(uncorkAll);
}

function uncorkAll(): void {
  const ready = waiting;
  waiting = [];
  for (const stream of ready) stream.uncork();
}

/** Room for what slow streams leave behind. */
const LEFT_BEHIND_BYTES = 16_384;

let slab = newSlab();
/** What lies before this place, slow streams have not taken yet. */
let begin = 0;
let end = 0;
/** Whose bytes are in the slab, and how they are written. */
let owner: Writable | null = null;
let ownersWrite: Write = ignore;
let flushIsDue = false;

/** Writes to the stream, and stops its source when that wants no more. */
export type Write = (bytes: Uint8Array) => void;

/**
 * Writes bytes the caller must give back when this returns. A long record waits for more until the turn is over.
 *
 * @param write called now or later in this turn; keeps nothing of what it is given but what it writes to the stream
 */
export function writeBorrowed(stream: Writable, bytes: Buffer, write: Write): void {
  if (owner !== stream || end + bytes.length > begin + BATCH_BYTES) flushBorrowed();
  if (owner === null && begin > LEFT_BEHIND_BYTES) {
    slab = newSlab();
    begin = 0;
    end = 0;
  }
  bytes.copy(slab, end);
  end += bytes.length;
  owner = stream;
  ownersWrite = write;
  if (bytes.length < LONG_RECORD_BYTES) {
    flushBorrowed();
  } else if (!flushIsDue) {
    flushIsDue = true;
    setImmediate(flushAtTurnsEnd);
  }
}

/** Writes what waits; must come before anything else is written to the stream, or it is ended. */
export function flushBorrowed(): void {
  if (owner === null) return;
  const stream = owner;
  const used = slab;
  const from = begin;
  const to = end;
  owner = null;
  if (stream.destroyed || stream.writableLength > 0) {
    // A stream that is slower than its source keeps what it is given.
    const copy = stream.destroyed ? null : Buffer.from(used.subarray(from, to));
    end = from;
    if (copy !== null) ownersWrite(copy);
    return;
  }
  // What is not taken stays where it is until it is, and the next bytes go behind it: streams that are stuck with a few
  // bytes share a slab.
  begin = to;
  ownersWrite(used.subarray(from, to));
  if (stream.writableLength > 0) return;
  if (slab !== used || end !== to) return;
  begin = from;
  end = from;
}

function newSlab(): Buffer {
  return Buffer.allocUnsafeSlow(LEFT_BEHIND_BYTES + BATCH_BYTES);
}

function flushAtTurnsEnd(): void {
  flushIsDue = false;
  flushBorrowed();
}

function ignore(): void {
  // Nobody has written yet.
}
