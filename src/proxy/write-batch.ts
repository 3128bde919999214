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

/** A full TLS record (RFC 8446 §5.1: 2^14 bytes) announces more in the same turn; less is the end of what was there. */
export const FULL_RECORD_BYTES = 16_384;
/** What a socket reads at once, in records. */
const SLAB_BYTES = 65_536;

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

let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let filled = 0;
/** Whose bytes are in the slab. */
let owner: Writable | null = null;
let onOwnerFull: () => void = ignore;
let flushIsDue = false;

/**
 * Writes bytes the caller must give back when this returns. A full record waits for more until the turn is over.
 *
 * @param onFull called, perhaps later in this turn, when `stream` wants no more until its `drain`
 */
export function writeBorrowed(stream: Writable, bytes: Buffer, onFull: () => void): void {
  if (owner !== stream) flushBorrowed();
  if (stream.writableLength > 0 && owner === null) {
    // It is slower than its source, and keeps what it is given.
    if (!stream.write(Buffer.from(bytes))) onFull();
    return;
  }
  if (filled + bytes.length > SLAB_BYTES) flushBorrowed();
  bytes.copy(slab, filled);
  filled += bytes.length;
  owner = stream;
  onOwnerFull = onFull;
  if (bytes.length < FULL_RECORD_BYTES) {
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
  const bytes = slab.subarray(0, filled);
  owner = null;
  filled = 0;
  if (stream.destroyed) return;
  const goesOn = stream.write(bytes);
  // Not all of it was taken: what is left stays where it is until it was.
  if (stream.writableLength > 0) slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  if (!goesOn) onOwnerFull();
}

function flushAtTurnsEnd(): void {
  flushIsDue = false;
  flushBorrowed();
}

function ignore(): void {
  // Nobody has written yet.
}
