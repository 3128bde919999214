/**
 * Where what sockets read lands: one buffer for all TLS servers of the process, and one for all agents.
 *
 * Left to itself Node allocates a buffer for each TLS record, 64 KiB for each read of an agent however little it said, and takes
 * it through a readable stream; a bulk download spends a quarter of its processor time on that. With `onread` (node:net) the socket writes into a buffer it is given and
 * calls back, and whoever takes the bytes must be done with them, or have copied them, before the call returns.
 *
 * Node reads on for some records after a socket was paused, so a taker gets bytes while it wants none, too: as
 * many as were received already, which is 64 KiB.
 */
import type { OnReadOpts, Socket } from 'node:net';
import { busyPoll } from './busy-poll.ts';
import { readInto } from './socket-fd.ts';

/** Takes bytes that are only valid until it returns. */
export type Taker = (bytes: Buffer) => void;

/** One TLS record (RFC 8446 §5.1); Node hands over one at a time. */
const LANDING_BYTES = 16_384;
/** Of a server that speaks before the flow is ready; beyond it reading stops until there is a taker. */
const MAX_EARLY_BYTES = 65_536;

/** What libuv asks of the kernel at a time. */
const AGENT_LANDING_BYTES = 65_536;

const ofServers = Buffer.allocUnsafeSlow(LANDING_BYTES);
const ofAgents = Buffer.allocUnsafeSlow(AGENT_LANDING_BYTES);
const landings = new WeakMap<Socket, Landing>();

export class Landing {
  readonly onread: OnReadOpts;
  #early: Buffer[] = [];
  #earlyBytes = 0;
  #taker: Taker | null = null;

  constructor(buffer: Buffer = ofServers) {
    this.onread = { buffer, callback: (count) => this.#landed(buffer.subarray(0, count)) };
  }

  /**
   * For an agent's socket that was read by `data` until now, and is paused. Null where it goes on with that: something it has
   * read already still waits in it.
   */
  static ofAgent(socket: Socket): Landing | null {
    if (socket.readableLength > 0 || socket.destroyed) return null;
    const landing = new Landing(ofAgents);
    if (!readInto(socket, landing.onread)) return null;
    landing.belongTo(socket);
    // Node goes on reading while nothing waits in a stream that is paused.
    socket.pause();
    return landing;
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
    busyPoll.touch();
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

/** Whatever a socket reads, by the way it has. The bytes are only valid until the taker returns. */
export function takeFrom(socket: Socket, taker: Taker): void {
  const landing = landingOf(socket);
  if (landing === null) socket.on('data', taker);
  else landing.deliverTo(taker);
}

function ignore(): void {
  // Of a flow that is over: nobody waits for it.
}
