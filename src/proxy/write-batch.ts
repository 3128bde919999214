/**
 * Holds back small writes until the end of the turn of the event loop, so that they leave in one system call.
 *
 * TLS hands over one record (16 KiB at most) at a time, several per turn when data pours in; written one by
 * one each costs a send(2). One `setImmediate` serves every socket of the process.
 */
import type { Writable } from 'node:stream';

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
