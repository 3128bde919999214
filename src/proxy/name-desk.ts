/**
 * A worker's questions about names: what an agent resolved is known to the forwarder, which the daemon passes the
 * question on to. Without an answer in time there is no name, and what needs one is refused.
 */
import type { NameAnswer, NameQuestion } from './ipc.ts';
import { OpenQuestions } from './open-questions.ts';

/** Flows that wait for a name; more have none. */
const MAX_WAITING = 4096;

export class NameDesk {
  readonly #send: (question: NameQuestion) => void;
  readonly #open = new OpenQuestions<string>(MAX_WAITING);

  constructor(send: (question: NameQuestion) => void) {
    this.#send = send;
  }

  /** The name this agent last resolved to that address. Never rejects. */
  ask(agentId: number, ip: string): Promise<string | null> {
    return this.#open.ask(about(agentId, ip), (question) =>
      this.#send({ type: 'name', question, agentId, ip }),
    );
  }

  answered({ question, agentId, ip, name }: NameAnswer): void {
    this.#open.answered(question, about(agentId, ip), name);
  }
}

function about(agentId: number, ip: string): string {
  return `${agentId} ${ip}`;
}
