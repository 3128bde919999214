/**
 * Unconnected sockets in an agent's network namespace, by which a worker reaches servers from there: with that
 * namespace's routes and addresses, and its own loopback. A worker may not enter a namespace, so the daemon makes
 * them. A few are kept ready, so that only the first flow waits for the daemon.
 */
import { UpstreamError } from './upstream-error.ts';

/** Kept ready. */
const READY = 4;
/** The daemon gives at most as many at a time. */
export const SOCKETS_MAX = 32;

interface Waiter {
  readonly resolve: (fd: number) => void;
  readonly reject: (error: UpstreamError) => void;
  readonly timer: NodeJS.Timeout;
}

interface Side {
  readonly free: number[];
  readonly waiting: Set<Waiter>;
  /** Asked of the daemon and not there yet. */
  asked: number;
}

export interface SocketPoolOptions {
  /** Asks the daemon for sockets; `give` follows, or nothing. */
  readonly ask: (family: 4 | 6, count: number) => void;
  readonly closeFd: (fd: number) => void;
}

export class SocketPool {
  readonly #options: SocketPoolOptions;
  readonly #sides: Readonly<Record<4 | 6, Side>> = {
    4: { free: [], waiting: new Set(), asked: 0 },
    6: { free: [], waiting: new Set(), asked: 0 },
  };
  #closed = false;

  constructor(options: SocketPoolOptions) {
    this.#options = options;
  }

  /** The descriptor of a socket, the caller's from now on. @throws UpstreamError when none comes in time */
  take(family: 4 | 6, timeoutMs: number): Promise<number> {
    const side = this.#sides[family];
    const fd = side.free.pop();
    if (fd !== undefined) {
      this.#refill(family);
      return Promise.resolve(fd);
    }
    if (this.#closed) return Promise.reject(gone());
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        resolve,
        reject,
        timer: setTimeout(() => {
          side.waiting.delete(waiter);
          // What was asked may never come: the next flow asks again.
          side.asked = 0;
          reject(gone());
        }, timeoutMs),
      };
      side.waiting.add(waiter);
      this.#refill(family);
    });
  }

  #refill(family: 4 | 6): void {
    const side = this.#sides[family];
    const missing = side.waiting.size + READY - side.free.length - side.asked;
    // Not one by one: each answer costs the daemon a visit to the namespace.
    if (this.#closed || missing < READY / 2) return;
    const count = Math.min(missing, SOCKETS_MAX);
    side.asked += count;
    this.#options.ask(family, count);
  }

  /** Sockets from the daemon. What nobody waits for and is beyond what is kept ready is closed. */
  give(family: 4 | 6, fds: readonly number[]): void {
    const side = this.#sides[family];
    side.asked = Math.max(0, side.asked - fds.length);
    for (const fd of fds) {
      const [waiter] = side.waiting;
      if (waiter !== undefined) {
        side.waiting.delete(waiter);
        clearTimeout(waiter.timer);
        waiter.resolve(fd);
      } else if (this.#closed || side.free.length >= SOCKETS_MAX) {
        this.#options.closeFd(fd);
      } else {
        side.free.push(fd);
      }
    }
    if (side.waiting.size > 0) this.#refill(family);
  }

  /** Gives back a socket that was not used. */
  giveBack(fd: number): void {
    this.#options.closeFd(fd);
  }

  /** Lets the namespace go: a socket keeps it alive. */
  close(): void {
    this.#closed = true;
    for (const side of Object.values(this.#sides)) {
      for (const fd of side.free.splice(0)) this.#options.closeFd(fd);
      for (const waiter of side.waiting) {
        clearTimeout(waiter.timer);
        waiter.reject(gone());
      }
      side.waiting.clear();
    }
  }
}

function gone(): UpstreamError {
  return new UpstreamError('internal_error', "there is no socket to be had in the agent's network namespace");
}
