/**
 * Where the bytes of TLS servers land: one buffer for all sockets of the process.
 *
 * Left to itself Node allocates a buffer for each TLS record and takes it through a readable stream; a bulk download
 * spends a quarter of its processor time on that. With `onread` (node:net) the socket writes into a buffer it is given and
 * calls back, and whoever takes the bytes must be done with them, or have copied them, before the call returns.
 *
 * Node reads on for some records after a socket was paused, so a taker gets bytes while it wants none, too: as
 * many as were received already, which is 64 KiB.
 */
import type { OnReadOpts, Socket } from 'node:net';

/** Takes bytes that are only valid until it returns. */
export type Taker = (bytes: Buffer) => void;

/** One TLS record (RFC 8446 §5.1); Node hands over one at a time. */
const LANDING_BYTES = 16_384;
/** Of a server that speaks before the flow is ready; beyond it reading stops until there is a taker. */
const MAX_EARLY_BYTES = 65_536;

const shared = Buffer.allocUnsafeSlow(LANDING_BYTES);
const landings = new WeakMap<Socket, Landing>();

export class Landing {
  readonly onread: OnReadOpts;
  #early: Buffer[] = [];
  #earlyBytes = 0;
  #taker: Taker | null = null;

  constructor() {
    this.onread = { buffer: shared, callback: (count) => this.#landed(shared.subarray(0, count)) };
  }

  /** From now on `landingOf(socket)` is this one. */
  belongTo(socket: Socket): void {
    landings.set(socket, this);
  }

  /** Hands over what came before, in order, and then whatever comes, at once. The socket's `data` is never emitted. */
  deliverTo(taker: Taker): void {
    this.#taker = taker;
    for (const bytes of this.#early.splice(0)) taker(bytes);
  }

  /** What still comes is nobody's. */
  close(): void {
    this.#taker = ignore;
    this.#early = [];
  }

  /** Whether the socket shall read on. */
  #landed(bytes: Buffer): boolean {
    if (this.#taker !== null) {
      this.#taker(bytes);
      return true;
    }
    this.#early.push(Buffer.from(bytes));
    this.#earlyBytes += bytes.length;
    return this.#earlyBytes < MAX_EARLY_BYTES;
  }
}

/** Null: the socket gives its bytes out by `data`, as sockets do. */
export function landingOf(socket: Socket): Landing | null {
  return landings.get(socket) ?? null;
}

function ignore(): void {
  // Of a flow that is over: nobody waits for it.
}
