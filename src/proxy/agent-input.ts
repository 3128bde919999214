/**
 * The agent's first bytes, read piece by piece while it is decided what becomes of the flow.
 *
 * Between reads the socket is paused, so the kernel's window holds the agent back; what was read stays here
 * until `take()` hands it, whole and in order, to whoever sends it on. Promises per chunk are affordable
 * only because this ends before the relay begins.
 */
import type { Socket } from 'node:net';
import { deadline } from '../core/deadline.ts';
import { SluiceError } from '../core/errors.ts';

/** The agent's socket was closed under us: there is nobody left to answer. */
export class AgentGone extends SluiceError {
  constructor(cause: unknown) {
    super('UPSTREAM', 'the agent closed the connection', { cause });
    this.name = 'AgentGone';
  }
}

export class AgentInput {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /**
   * The next chunk, `end` when the agent will send no more, `timeout` when neither came in time.
   * @throws AgentGone
   */
  next(timeoutMs: number): Promise<Buffer | 'end' | 'timeout'> {
    const socket = this.#socket;
    if (socket.destroyed) return Promise.reject(new AgentGone(socket.errored));
    if (socket.readableEnded) return Promise.resolve('end');
    return new Promise((resolve, reject) => {
      const settle = (value: Buffer | 'end' | 'timeout'): void => {
        stop();
        if (value instanceof Buffer) this.#chunks.push(value);
        resolve(value);
      };
      const onEnd = (): void => settle('end');
      const onClose = (): void => {
        stop();
        reject(new AgentGone(socket.errored));
      };
      const callOff = deadline(timeoutMs, () => settle('timeout'));
      const stop = (): void => {
        callOff();
        socket.pause();
        socket.off('data', settle);
        socket.off('end', onEnd);
        socket.off('close', onClose);
      };
      socket.on('data', settle);
      socket.on('end', onEnd);
      socket.on('close', onClose);
      socket.resume();
    });
  }

  /** All that was read and not dropped; null when that is nothing. The input no longer holds it. */
  take(): Buffer | null {
    const chunks = this.#chunks;
    this.#chunks = [];
    const [first, ...more] = chunks;
    if (first === undefined) return null;
    return more.length === 0 ? first : Buffer.concat(chunks);
  }
}
