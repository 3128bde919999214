/**
 * A worker's questions about names: what an agent resolved is known to the forwarder, which the daemon passes the
 * question on to. Without an answer in time there is no name, and what needs one is refused.
 */
import type { NameAnswer, NameQuestion } from './ipc.ts';

const TIMEOUT_MS = 1_000;
/** Flows that wait for a name; more have none. */
const MAX_WAITING = 4096;

interface Waiting {
  readonly agentId: number;
  readonly ip: string;
  readonly settle: (name: string | null) => void;
}

export class NameDesk {
  readonly #send: (question: NameQuestion) => void;
  readonly #waiting = new Map<number, Waiting>();
  #next = 0;

  constructor(send: (question: NameQuestion) => void) {
    this.#send = send;
  }

  /** The name this agent last resolved to that address. Never rejects. */
  ask(agentId: number, ip: string): Promise<string | null> {
    if (this.#waiting.size >= MAX_WAITING) return Promise.resolve(null);
    const question = this.#next;
    this.#next = (this.#next + 1) >>> 0;
    return new Promise((resolve) => {
      const settle = (name: string | null): void => {
        clearTimeout(timer);
        this.#waiting.delete(question);
        resolve(name);
      };
      const timer = setTimeout(() => settle(null), TIMEOUT_MS);
      this.#waiting.set(question, { agentId, ip, settle });
      this.#send({ type: 'name', question, agentId, ip });
    });
  }

  /** Numbers begin anew with each process: an answer to a predecessor must not be taken for one's own. */
  answered({ question, agentId, ip, name }: NameAnswer): void {
    const waiting = this.#waiting.get(question);
    if (waiting?.agentId === agentId && waiting.ip === ip) waiting.settle(name);
  }
}
