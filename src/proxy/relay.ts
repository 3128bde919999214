/**
 * Carries bytes both ways between an agent and a server until both are done.
 *
 * `Relay` is an interface because flows nobody needs to read can be carried by other means than streams;
 * all that a relay must know is decided before it starts. What holds for every implementation:
 *
 * - a FIN on one side becomes a FIN on the other and nothing more: the other direction goes on;
 * - a side that does not read stops the other side from being read: memory stays bounded by the two high
 *   water marks, whatever the sizes, and by a number of pieces, for each costs more than the few bytes it may have;
 * - a reset is handed back to the caller, with the surviving socket still open: only the caller knows
 *   whether an answer in the agent's protocol is still possible, or whether the reset is to be passed on.
 */
import type { Socket } from 'node:net';
import { roomIsFree, roomIsTaken } from '../core/room.ts';
import type { Reason } from '../flow/record.ts';
import { sendNow } from '../kernel/descriptors.ts';
import { forgetKeepAlive, KEEP_ALIVE_MS, keepAliveLater } from './keep-alive.ts';
import { Landing, landingOf } from './landing.ts';
import { fdOf } from './socket-fd.ts';
import { askWhetherReset, unwatchStalled, watchStalled } from './stall-watch.ts';
import { establishedError } from './upstream-error.ts';
import { corkForThisTurn, FULL_RECORD_BYTES, flushBorrowed, writeBorrowed } from './write-batch.ts';

/** Rewrites the first bytes of one direction; once `done` it is out of the way. */
export interface ByteFilter {
  push(chunk: Uint8Array): readonly Uint8Array[];
  readonly done: boolean;
  /** Asked after each push: what is to be sent the other way now, past the other direction's filter. */
  readonly back?: () => readonly Uint8Array[];
  /** It keeps what it gets until something else has happened: its source is not read on. */
  readonly full?: boolean;
  /** Takes what is to be called when that has happened: it is pushed nothing then, and has something to give. */
  readonly onReady?: (wake: () => void) => void;
  /** Its source has ended: what is still to be sent. */
  readonly end?: () => readonly Uint8Array[];
}

export interface RelayOptions {
  /** Bytes of the agent that were read before, to be sent first. */
  readonly agentHead: Buffer | null;
  /** Bytes of the server that were read before. */
  readonly serverHead: Buffer | null;
  /** Applied to what the agent sends. What it throws ends the flow as `protocol_error`. */
  readonly agentFilter: ByteFilter | null;
  /** Applied to what the server sends. What it throws ends the flow as `protocol_error`. */
  readonly serverFilter: ByteFilter | null;
}

export interface RelayResult {
  readonly bytesAgentToServer: number;
  readonly bytesServerToAgent: number;
  /** `ok`, `agent_reset`, `server_reset`, `protocol_error`, or what the server's late TLS alert means. */
  readonly end: Reason;
  /** Which side broke it; null when both closed in good order. */
  readonly brokenBy: 'agent' | 'server' | null;
  readonly error: Error | null;
}

export interface Relay {
  /** Both sockets must be paused and half-open capable. Resolves once, never rejects. */
  run(agent: Socket, server: Socket, options: RelayOptions): Promise<RelayResult>;
}

/** Writes that may wait to be taken; beyond, their source is stopped, however few bytes they are: each costs some hundred. */
const MAX_WAITING_WRITES = 1_024;

const NOTHING = Buffer.alloc(0);

/** One direction. */
class Pipe {
  bytes = 0;
  /** The other direction. */
  opposite: Pipe | null = null;
  /** Since all had been taken. */
  #waitingWrites = 0;
  /** Whether a write will tell that it was taken. */
  #awaitsWrites = false;
  #stopped = false;
  #inFilter = false;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #toAgent: boolean;
  readonly #landing: Landing | null;
  #filter: ByteFilter | null;
  readonly #onFilterError: (error: Error) => void;

  constructor(
    [from, to]: readonly [Socket, Socket],
    toAgent: boolean,
    filter: ByteFilter | null,
    onFilterError: (error: Error) => void,
  ) {
    this.#from = from;
    this.#to = to;
    this.#toAgent = toAgent;
    this.#landing = landingOf(from) ?? (toAgent ? null : Landing.ofAgent(from));
    this.#filter = filter;
    this.#onFilterError = onFilterError;
    filter?.onReady?.(this.#onReady);
  }

  /** @param head bytes read before; they go first. */
  start(head: Buffer | null): void {
    if (head !== null && head.length > 0) this.#onData(head);
    this.#to.on('drain', this.#onDrain);
    this.#landing?.deliverTo(this.#onLanded);
    if (this.#from.readableEnded) {
      this.#onEnd();
      return;
    }
    this.#from.on('end', this.#onEnd);
    if (this.#landing === null) this.#from.on('data', this.#onData);
    // With the head still waiting to be taken, reading begins at `drain`.
    if (!this.#to.writableNeedDrain && !this.#awaitsWrites && this.#filter?.full !== true)
      this.#from.resume();
  }

  stop(): void {
    this.#stopped = true;
    this.#to.off('drain', this.#onDrain);
    this.#from.off('end', this.#onEnd);
    this.#from.off('data', this.#onData);
    this.#landing?.close();
    flushBorrowed();
    this.#awaitsWrites = false;
    this.#from.pause();
    unwatchStalled(this.#from);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#filter !== null) {
      this.#filtered(chunk, this.#filter);
      return;
    }
    this.#send(chunk);
  };

  readonly #onLanded = (bytes: Buffer): void => {
    // What an agent said is read at once; only TLS comes in records.
    if (!this.#toAgent) this.#onData(Buffer.from(bytes));
    // A filter keeps nothing of a chunk: what comes out of it may be a view, and is written before it returns.
    else if (this.#filter !== null) writeBorrowed(this.#to, bytes, this.#onBatch);
    else {
      this.bytes += bytes.length;
      writeBorrowed(this.#to, bytes, this.#write);
    }
  };

  readonly #onBatch = (bytes: Uint8Array): void => {
    if (this.#filter === null) this.#send(bytes);
    else this.#filtered(bytes, this.#filter);
  };

  #send(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    const to = this.#to;
    if (chunk.length === FULL_RECORD_BYTES && to.writableCorked === 0) corkForThisTurn(to);
    this.#write(chunk);
  }

  readonly #write = (chunk: Uint8Array): void => {
    const to = this.#to;
    if (to.writableLength > 0) this.#waitingWrites += 1;
    else {
      this.#waitingWrites = 0;
      if (this.#toAgent && to.writableCorked === 0) {
        const sent = sendPast(to, chunk);
        if (sent === chunk.length) return;
        if (sent > 0) chunk = chunk.subarray(sent);
      }
    }
    const tooMany = this.#waitingWrites >= MAX_WAITING_WRITES;
    let goesOn: boolean;
    if (tooMany && !this.#awaitsWrites) {
      this.#awaitsWrites = true;
      goesOn = to.write(chunk, this.#onTaken);
    } else {
      goesOn = to.write(chunk);
    }
    if (!goesOn || tooMany) this.#onFull();
  };

  readonly #onTaken = (): void => {
    if (!this.#awaitsWrites) return;
    this.#awaitsWrites = false;
    if (!this.#to.writableNeedDrain) this.#onDrain();
  };

  readonly #onFull = (): void => {
    this.#from.pause();
    watchStalled(this.#from);
  };

  #filtered(chunk: Uint8Array, filter: ByteFilter): void {
    try {
      this.#inFilter = true;
      const parts = filter.push(chunk);
      this.#inFilter = false;
      this.#pass(filter, parts);
    } catch (error) {
      this.#inFilter = false;
      this.#broken(error);
    }
  }

  #pass(filter: ByteFilter, parts: readonly Uint8Array[]): void {
    for (const part of parts) this.#send(part);
    if (this.#to.writableLength === 0) roomIsFree();
    else roomIsTaken();
    const back = filter.back?.() ?? [];
    if (back.length > 0) this.opposite?.inject(back);
    if (filter.done) this.#filter = null;
    else if (filter.full === true) this.#onFull();
  }

  #broken(error: unknown): void {
    this.#onFilterError(error instanceof Error ? error : new Error(String(error)));
  }

  readonly #onReady = (): void => {
    // What happens while it is pushed to, that push gives.
    if (this.#stopped || this.#filter === null || this.#inFilter) return;
    flushBorrowed();
    this.#filtered(NOTHING, this.#filter);
    if (!this.#to.writableNeedDrain && !this.#awaitsWrites) this.#onDrain();
  };

  /** Sends what nobody has sent. Nothing once its side has ended. */
  inject(parts: readonly Uint8Array[]): void {
    if (this.#to.writableEnded) return;
    flushBorrowed();
    if (this.#stopped) return;
    for (const part of parts) this.#send(part);
  }

  readonly #onDrain = (): void => {
    if (this.#stopped || this.#from.readableEnded || this.#filter?.full === true) return;
    unwatchStalled(this.#from);
    this.#from.resume();
  };

  #endFilter(): void {
    const filter = this.#filter;
    if (filter?.end === undefined) return;
    try {
      this.#pass(filter, filter.end());
    } catch (error) {
      this.#broken(error);
    }
  }

  readonly #onEnd = (): void => {
    // After a FIN nothing is read any more, so a reset that follows it must be asked for, too.
    watchStalled(this.#from);
    flushBorrowed();
    this.#endFilter();
    // What was still to be filtered may have ended the flow: then there is an answer to be given.
    if (!this.#stopped) this.#to.end();
  };
}

/**
 * Sends past the stream of an agent's socket, in which nothing waits: a small answer costs the stream more than the kernel.
 * What goes wrong shows when the rest is written to the stream.
 *
 * @returns how many bytes were taken
 */
function sendPast(agent: Socket, bytes: Uint8Array): number {
  // Asked each time: once the socket is closed its number may be another flow's.
  const fd = fdOf(agent);
  return fd === null ? 0 : sendNow(fd, bytes);
}

class StreamFlow {
  readonly #agent: Socket;
  readonly #server: Socket;
  readonly #toServer: Pipe;
  readonly #toAgent: Pipe;
  readonly #resolve: (result: RelayResult) => void;
  #open = 2;

  constructor(agent: Socket, server: Socket, options: RelayOptions, resolve: (result: RelayResult) => void) {
    this.#agent = agent;
    this.#server = server;
    this.#resolve = resolve;
    const { agentFilter, serverFilter } = options;
    this.#toServer = new Pipe([agent, server], false, agentFilter, this.#onAgentFilterError);
    this.#toAgent = new Pipe([server, agent], true, serverFilter, this.#onServerFilterError);
    this.#toServer.opposite = this.#toAgent;
    this.#toAgent.opposite = this.#toServer;
    agent.on('error', this.#onAgentError);
    server.on('error', this.#onServerError);
    agent.on('close', this.#onClose);
    server.on('close', this.#onClose);
    // A socket that died before this point has emitted its `close` already.
    if (agent.destroyed) this.#onAgentError(agent.errored ?? new Error('closed'));
    else if (server.destroyed) this.#onServerError(server.errored ?? new Error('closed'));
    else {
      keepAliveLater(server);
      agent.once('end', this.#onAgentEnd);
      this.#toServer.start(options.agentHead);
      this.#toAgent.start(options.serverHead);
    }
  }

  readonly #onAgentEnd = (): void => {
    if (this.#server.readableEnded) return;
    // An agent that closed for good while its server stays open answers a probe with a RST, and is let go.
    this.#agent.setKeepAlive(true, KEEP_ALIVE_MS);
    // The kernel tells of a reset once, be it to the write of our close_notify, whose failure Node keeps to itself:
    // what is read afterwards is an end in good order, and an answer cut short would look whole to the agent.
    askWhetherReset(this.#server);
  };

  readonly #onAgentError = (error: Error): void => {
    this.#finish(this.#bothEnded() ? 'ok' : 'agent_reset', 'agent', error);
  };

  readonly #onServerError = (error: Error): void => {
    // After both FINs a reset only says that the server no longer waits for our close_notify.
    if (this.#bothEnded()) this.#finish('ok', null, null);
    else this.#finish(establishedError(error).reason, 'server', error);
  };

  readonly #onAgentFilterError = (error: Error): void => {
    this.#finish('protocol_error', 'agent', error);
  };

  readonly #onServerFilterError = (error: Error): void => {
    this.#finish('protocol_error', 'server', error);
  };

  readonly #onClose = (): void => {
    this.#open -= 1;
    if (this.#open === 0) this.#finish('ok', null, null);
  };

  #bothEnded(): boolean {
    return this.#agent.readableEnded && this.#server.readableEnded;
  }

  #finish(end: Reason, brokenBy: 'agent' | 'server' | null, error: Error | null): void {
    forgetKeepAlive(this.#server);
    this.#toServer.stop();
    this.#toAgent.stop();
    for (const socket of [this.#agent, this.#server]) socket.off('close', this.#onClose);
    this.#agent.off('error', this.#onAgentError);
    this.#agent.off('end', this.#onAgentEnd);
    this.#server.off('error', this.#onServerError);
    this.#resolve({
      bytesAgentToServer: this.#toServer.bytes,
      bytesServerToAgent: this.#toAgent.bytes,
      end,
      brokenBy: end === 'ok' ? null : brokenBy,
      error: end === 'ok' ? null : error,
    });
  }
}

/** The relay on Node's streams. */
export const streamRelay: Relay = {
  run: (agent, server, options) =>
    new Promise((resolve) => {
      new StreamFlow(agent, server, options, resolve);
    }),
};
