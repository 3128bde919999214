/**
 * Agents that ask by TCP: one question at a time for each connection, in order, as many as it likes until it is idle.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { closeFd, duplicateFd } from '../../kernel/descriptors.ts';
import type { KernelFlow } from '../../kernel/facts.ts';
import { encodeFrame, FrameReader } from '../../protocols/dns/frames.ts';
import { QUERY_MAX_BYTES } from '../../protocols/dns/query.ts';
import { Doors } from '../doors.ts';
import { resetSocket } from '../reset.ts';
import { fdOf } from '../socket-fd.ts';
import { merged, type Outcome } from './dns-report.ts';
import type { Handled } from './forwarder.ts';

const BACKLOG = 256;
const IDLE_MS = 10_000;
const MAX_CONNECTIONS = 1024;
/** Outcomes kept for the record; what comes after is only counted by the forwarder. */
const MAX_OUTCOMES = 64;

export interface TcpEvents {
  readonly readFlow: (fd: number) => KernelFlow | null;
  readonly handle: (bytes: Buffer, flow: KernelFlow) => Promise<Handled>;
  /** Once for each connection of an agent. */
  readonly onEnd: (flow: KernelFlow, outcome: Outcome, socket: Ended) => void;
  /** Whether so many descriptors can be opened; by default the kernel is asked. */
  readonly hasSpare?: (count: number) => boolean;
}

export interface Ended {
  readonly ip: string | null;
  readonly port: number | null;
  readonly totalMs: number;
}

export class TcpAgents {
  readonly #events: TcpEvents;
  readonly #connections = new Set<Socket>();
  readonly #doors: Doors;
  readonly #removals = new Set<() => void>();

  constructor(events: TcpEvents) {
    this.#events = events;
    this.#doors = new Doors({
      listen: (server, fd) => server.listen({ fd }, BACKLOG),
      duplicate: duplicateFd,
      closeFd,
      ...(events.hasSpare === undefined ? {} : { hasSpare: events.hasSpare }),
    });
  }

  /** Listens on a socket that the caller gives away; gives what closes the listener and leaves connections be. */
  serve(fd: number): () => void {
    const remove = this.#doors.add(fd, () => this.#makeServer());
    this.#removals.add(remove);
    return () => {
      this.#removals.delete(remove);
      remove();
    };
  }

  /** Stops listening while there are too few descriptors to accept with: to be called about once a second. */
  look(): void {
    this.#doors.look();
  }

  /** Whether nobody is let in for want of descriptors. */
  get shut(): boolean {
    return this.#doors.shut;
  }

  close(): void {
    for (const remove of this.#removals) remove();
    this.#removals.clear();
    for (const socket of this.#connections) resetSocket(socket);
  }

  #makeServer(): Server {
    return createServer({ pauseOnConnect: true, noDelay: true }, (socket) => this.#accept(socket));
  }

  #accept(socket: Socket): void {
    socket.on('error', () => undefined);
    const fd = fdOf(socket);
    const flow = fd === null ? null : this.#events.readFlow(fd);
    if (flow === null || this.#connections.size >= MAX_CONNECTIONS) {
      resetSocket(socket);
      const { remoteAddress: ip = null, remotePort: port = null } = socket;
      if (flow !== null) this.#events.onEnd(flow, TOO_MANY, { ip, port, totalMs: 0 });
      return;
    }
    this.#connections.add(socket);
    void this.#converse(socket, flow);
  }

  async #converse(socket: Socket, flow: KernelFlow): Promise<void> {
    const begunMs = performance.now();
    const from = { ip: socket.remoteAddress ?? null, port: socket.remotePort ?? null };
    const frames = new FrameReader('agent', QUERY_MAX_BYTES);
    const outcomes: Outcome[] = [];
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    try {
      for await (const chunk of socket as AsyncIterable<Buffer>) {
        for (const question of frames.push(chunk)) {
          const { reply, outcome } = await this.#events.handle(question, flow);
          if (outcome !== null && outcomes.length < MAX_OUTCOMES) outcomes.push(outcome);
          // Who asks without reading answers waits, and is idle in the end.
          if (reply === null || !(await written(socket, encodeFrame(reply)))) throw new Error('no answer');
        }
      }
    } catch {
      // A broken frame, an answer nobody took, a reset: the connection is over.
      resetSocket(socket);
    }
    this.#connections.delete(socket);
    const [first, ...more] = outcomes;
    const outcome = first === undefined ? NOTHING_ASKED : merged([first, ...more]);
    this.#events.onEnd(flow, outcome, { ...from, totalMs: performance.now() - begunMs });
  }
}

const TOO_MANY: Outcome = {
  name: null,
  verdict: 'error',
  reason: 'overloaded',
  detail: `the forwarder has ${MAX_CONNECTIONS} connections already`,
  bytesIn: 0,
  bytesOut: 0,
};

const NOTHING_ASKED: Outcome = {
  name: null,
  verdict: 'deny',
  reason: 'protocol_error',
  detail: 'a connection to port 53 that asked nothing',
  bytesIn: 0,
  bytesOut: 0,
};

function written(socket: Socket, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const onClose = (): void => resolve(false);
    socket.once('close', onClose);
    socket.write(bytes, (error) => {
      socket.off('close', onClose);
      resolve(error === null || error === undefined);
    });
  });
}
