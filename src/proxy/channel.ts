/**
 * The line between the daemon and one of its workers: whole messages over a socket pair.
 *
 *   frame = length of the body (4 bytes, little-endian) · body (JSON, UTF-8)
 *
 * Not Node's own IPC: that takes what comes for granted, and a worker reads hostile bytes. Whoever reads here is
 * safe from whoever writes: a frame has a bound, its body is parsed by JSON.parse and nothing else, and what is no
 * frame is a violation, told once, after which nothing more is read.
 */
import type { Duplex } from 'node:stream';
import { messageOf } from '../core/errors.ts';

/** The descriptor where a worker finds its end. */
export const CHANNEL_FD = 3;
/** And the one of the line by which it is handed descriptors (namespace-line.ts). */
export const NAMESPACE_LINE_FD = 4;

/** A batch of 256 reports at their longest stays below a megabyte. */
export const MAX_WORKER_FRAME_BYTES = 4 * 1024 * 1024;
/** A policy: a megabyte of YAML, and the certificates it names. */
export const MAX_DAEMON_FRAME_BYTES = 64 * 1024 * 1024;

const HEADER_BYTES = 4;

export function encodeFrame(message: unknown): Buffer {
  const text = JSON.stringify(message);
  const body = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(HEADER_BYTES + body);
  frame.writeUInt32LE(body, 0);
  frame.write(text, HEADER_BYTES, 'utf8');
  return frame;
}

export class FrameReader {
  readonly #maxBytes: number;
  #chunks: Buffer[] = [];
  #held = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Gives `take` each message that is whole now. Throws for a frame over the bound or a body that is no JSON, after
   * what came before it was taken.
   */
  push(chunk: Buffer, take: (message: unknown) => void): void {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    for (let body = this.#next(); body !== null; body = this.#next()) take(JSON.parse(body.toString('utf8')));
  }

  #next(): Buffer | null {
    if (this.#held < HEADER_BYTES) return null;
    if ((this.#chunks[0]?.length ?? 0) < HEADER_BYTES) this.#join();
    const length = this.#chunks[0]?.readUInt32LE(0) ?? 0;
    if (length > this.#maxBytes) throw new RangeError(`a frame of ${length} bytes`);
    if (this.#held < HEADER_BYTES + length) return null;
    this.#join();
    const all = this.#chunks[0] ?? Buffer.alloc(0);
    this.#chunks = all.length > HEADER_BYTES + length ? [all.subarray(HEADER_BYTES + length)] : [];
    this.#held -= HEADER_BYTES + length;
    return all.subarray(HEADER_BYTES, HEADER_BYTES + length);
  }

  #join(): void {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
  }
}

export interface ChannelEvents {
  readonly onMessage: (message: unknown) => void;
  /** The other side broke the rules; `why` quotes nothing of what it sent. */
  readonly onViolation: (why: string) => void;
  readonly onClose: () => void;
}

export class Channel {
  readonly #socket: Duplex;

  constructor(socket: Duplex, maxFrameBytes: number, events: ChannelEvents) {
    const reader = new FrameReader(maxFrameBytes);
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk, events.onMessage);
      } catch (error) {
        socket.destroy();
        events.onViolation(error instanceof SyntaxError ? 'a body that is no JSON' : messageOf(error));
      }
    });
    // A line that breaks is closed, which is where it is dealt with.
    socket.on('error', () => undefined);
    socket.on('close', events.onClose);
  }

  /**
   * Nothing when the line is closed: what became of the other side is told by `onClose`.
   *
   * @param onSent called when the message has left this process: the other side gets it, whatever becomes of this one
   */
  send(message: unknown, onSent: () => void = ignore): void {
    if (!this.#socket.writable) return;
    this.#socket.write(encodeFrame(message), (error) => {
      if (error === undefined || error === null) onSent();
    });
  }

  /** Sends what is waiting and closes. */
  end(): void {
    this.#socket.end();
  }
}

function ignore(): void {
  // Whoever sends does not always wait for it.
}
