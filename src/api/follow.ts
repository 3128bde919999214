/**
 * One client of `/v1/flows/follow` or `/v1/holds/follow`: newline-delimited JSON over a response that stays open.
 *
 * A client that reads slower than flows end must cost the daemon neither memory nor time, so its queue is
 * bounded. When the queue is full the client is cut: it gets what was queued, then how many records it missed,
 * then the end. One that does not even read that is dropped. Nobody else notices.
 */
import type { ServerResponse } from 'node:http';
import type { FollowState } from './types.ts';

const HEARTBEAT: FollowState = { type: 'heartbeat' };
const END: FollowState = { type: 'end' };

export interface FollowOptions {
  /** Records kept for a client that does not read; at about 2 KB each, 2 MB for the worst client. */
  readonly maxQueue: number;
  /** Something is sent at least this often. */
  readonly heartbeatMs: number;
  /** How long a client that was cut may take to read the rest. */
  readonly graceMs: number;
}

export const FOLLOW_DEFAULTS: FollowOptions = { maxQueue: 1024, heartbeatMs: 15_000, graceMs: 10_000 };

export class FollowClient<T extends { readonly id: string }> {
  readonly #response: ServerResponse;
  readonly #options: FollowOptions;
  readonly #heartbeat: NodeJS.Timeout;
  readonly #event: (item: T) => object;
  #queue: T[] = [];
  #room: number;
  /** Nothing is written before the replay, so that old records come before new ones. */
  #writable = false;
  #quiet = true;
  #missed = 0;
  #grace: NodeJS.Timeout | undefined;

  /** @param event what is sent for a record */
  constructor(response: ServerResponse, options: FollowOptions, event: (item: T) => object) {
    this.#event = event;
    this.#response = response;
    this.#options = options;
    this.#room = options.maxQueue;
    response.on('drain', () => this.#flush());
    response.once('close', () => this.#stop());
    // A write that fails is followed by 'close', which is all there is to do about it.
    response.on('error', () => undefined);
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatMs);
    this.#heartbeat.unref();
  }

  /** Takes the next record; never blocks and never throws. */
  send(record: T): void {
    if (this.#missed > 0) this.#missed += 1;
    else if (this.#queue.length >= this.#room) this.#cut();
    else {
      this.#queue.push(record);
      if (this.#writable) this.#flush();
    }
  }

  /** Sends stored records first, and begins. A record that also came live meanwhile is sent once. */
  start(replay: readonly T[]): void {
    this.#response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
    this.#response.flushHeaders();
    const replayed = new Set(replay.map((record) => record.id));
    this.#queue = [...replay, ...this.#queue.filter((record) => !replayed.has(record.id))];
    this.#room += replay.length;
    this.#writable = true;
    this.#flush();
  }

  /** The daemon stops. */
  end(): void {
    if (!this.#response.writableEnded) this.#response.end(line(END));
  }

  #flush(): void {
    this.#writable = true;
    let next = 0;
    for (; next < this.#queue.length && this.#writable; next += 1) {
      const item = this.#queue[next];
      if (item !== undefined) this.#write(this.#event(item));
    }
    this.#queue.splice(0, next);
    if (this.#missed > 0 && this.#queue.length === 0 && this.#writable) {
      const cut: FollowState = { type: 'cut', missed: this.#missed };
      this.#response.end(line(cut));
    }
  }

  #write(event: object): void {
    this.#quiet = false;
    if (!this.#response.writableEnded) this.#writable = this.#response.write(line(event));
  }

  #beat(): void {
    if (this.#quiet && this.#writable) this.#write(HEARTBEAT);
    this.#quiet = true;
  }

  #cut(): void {
    this.#missed = 1;
    this.#grace = setTimeout(() => this.#response.destroy(), this.#options.graceMs);
    this.#grace.unref();
  }

  #stop(): void {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#grace);
    this.#queue = [];
  }
}

function line(event: object): string {
  return `${JSON.stringify(event)}\n`;
}
