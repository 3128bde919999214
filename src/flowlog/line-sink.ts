/**
 * Writes lines to a descriptor that somebody else reads (a pipe, the journal's socket, a file) without ever waiting for
 * the reader: what does not fit is kept up to a bound, then dropped and counted.
 *
 * The descriptor is made non-blocking and written from the main thread. Left blocking, a write would hold a thread of
 * libuv's pool for as long as the pipe is full, and the exit of the process with it.
 */
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { errnoOf, messageOf } from '../core/errors.ts';

/** Three to four thousand flow records. */
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;
/** Records of one turn of the event loop go out in one write, as long as they are not more than this. */
const MAX_WRITE_BYTES = 64 * 1024;
/** How soon a full pipe is tried again. */
const RETRY_MS = 50;
const LINE_FEED = 10;

export interface LineSinkHealth {
  readonly bufferedBytes: number;
  readonly droppedLines: number;
  /** The last error of a write; null once one has succeeded. */
  readonly error: string | null;
}

/** A non-blocking way to write to `fd`, and how to give it up. */
interface Outlet {
  readonly fd: number;
  readonly close: () => void;
}

function outletTo(fd: number): Outlet {
  const stat = fstatSync(fd);
  if (stat.isSocket()) {
    // libuv makes it non-blocking; the object is kept for that alone, since it closes the descriptor when it goes.
    const socket = new Socket({ fd, readable: false, writable: true });
    socket.unref();
    return { fd, close: () => void socket.unref() };
  }
  if (stat.isFIFO() || stat.isCharacterDevice()) {
    // Opened anew, so that the flag is ours alone and not of everybody who has inherited the same descriptor.
    const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
    const own = openSync(`/proc/self/fd/${fd}`, flags);
    return { fd: own, close: () => closeSync(own) };
  }
  return { fd, close: () => undefined };
}

export class LineSink {
  readonly #outlet: Outlet;
  readonly #maxBufferedBytes: number;
  #lines: Buffer[] = [];
  #bufferedBytes = 0;
  /** What is left of the write that was cut short; it must go out before anything else. */
  #rest: Buffer | null = null;
  #droppedLines = 0;
  #error: string | null = null;
  /** The last byte written was not the end of a line. */
  #torn = false;
  #soon: NodeJS.Immediate | null = null;
  #retry: NodeJS.Timeout | null = null;
  #closed = false;

  /** Throws the system error if `fd` cannot be written to at all. */
  constructor(fd: number, options: { readonly maxBufferedBytes?: number } = {}) {
    this.#outlet = outletTo(fd);
    this.#maxBufferedBytes = options.maxBufferedBytes ?? MAX_BUFFERED_BYTES;
  }

  health(): LineSinkHealth {
    return {
      bufferedBytes: this.#bufferedBytes,
      droppedLines: this.#droppedLines,
      error: this.#error,
    };
  }

  /** One line with its line feed. Never throws, never waits. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#closed || this.#bufferedBytes + bytes.length > this.#maxBufferedBytes) {
      this.#droppedLines++;
      return;
    }
    this.#lines.push(bytes);
    this.#bufferedBytes += bytes.length;
    if (this.#retry === null) this.#soon ??= setImmediate(() => this.#pump());
  }

  /** Writes what the reader takes now; what it does not take stays buffered. */
  flushSync(): void {
    while (this.#bufferedBytes > 0 && this.#writeSome()) {
      // Each turn writes a part.
    }
  }

  /** Writes what the reader takes now, and drops and counts the rest. */
  close(): void {
    if (this.#closed) return;
    this.flushSync();
    this.#closed = true;
    this.#stopTimers();
    this.#drop();
    this.#outlet.close();
  }

  #pump(): void {
    this.#stopTimers();
    this.flushSync();
    if (this.#bufferedBytes > 0) this.#retry = setTimeout(() => this.#pump(), RETRY_MS).unref();
  }

  #stopTimers(): void {
    if (this.#soon !== null) clearImmediate(this.#soon);
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#soon = null;
    this.#retry = null;
  }

  /** One write. False if the reader takes no more for now. */
  #writeSome(): boolean {
    const chunk = this.#rest ?? this.#nextChunk();
    try {
      const written = writeSync(this.#outlet.fd, chunk);
      this.#bufferedBytes -= written;
      this.#rest = written < chunk.length ? chunk.subarray(written) : null;
      if (written > 0) this.#torn = chunk[written - 1] !== LINE_FEED;
      this.#error = null;
      return true;
    } catch (error) {
      this.#rest = chunk;
      if (errnoOf(error) === 'EAGAIN') return false;
      // Nobody reads any more, or the disk is full: later lines are tried again, these are gone.
      this.#error = messageOf(error);
      this.#drop();
      return false;
    }
  }

  #nextChunk(): Buffer {
    let bytes = 0;
    let count = 0;
    for (const line of this.#lines) {
      if (count > 0 && bytes + line.length > MAX_WRITE_BYTES) break;
      bytes += line.length;
      count++;
    }
    const lines = this.#lines.splice(0, count);
    if (!this.#torn) return Buffer.concat(lines, bytes);
    // The rest of a line was dropped: this keeps the next one whole.
    this.#bufferedBytes++;
    return Buffer.concat([Buffer.of(LINE_FEED), ...lines]);
  }

  #drop(): void {
    const cut = this.#rest === null ? 0 : countLines(this.#rest);
    this.#droppedLines += cut + this.#lines.length;
    this.#lines = [];
    this.#rest = null;
    this.#bufferedBytes = 0;
  }
}

function countLines(bytes: Buffer): number {
  let lines = 0;
  for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, at + 1)) lines++;
  return lines;
}
