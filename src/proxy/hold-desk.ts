/**
 * A worker's questions about what policy holds: people answer them by way of the daemon, which keeps the list.
 *
 * Bounded, because everything that waits has a flow, a text and a timer, and one agent must not take the room of the others.
 * While there is no daemon nobody can be asked: what waits is denied, and so is what would have to.
 */
import type { HoldOutcome } from '../flow/hold.ts';
import type { Approver, Question, Withdraw } from './approver.ts';
import type { HoldAnswer, WorkerMessage } from './ipc.ts';

/** Each has a text of 128 KiB at most and 128 KiB behind it. */
const WAITING_MAX = 256;
const WAITING_PER_AGENT_MAX = 64;

export class HoldDesk implements Approver {
  readonly #send: (message: WorkerMessage) => void;
  readonly #waiting = new Map<number, Question>();
  #next = 0;
  /** Why nobody can be asked now; null: the daemon is there. */
  #closed: string | null = null;

  constructor(send: (message: WorkerMessage) => void) {
    this.#send = send;
  }

  ask(question: Question): Withdraw | string {
    if (this.#closed !== null) return this.#closed;
    const { agent } = question.held;
    if (this.#waiting.size >= WAITING_MAX) return 'too many wait for approval already';
    if (this.#count((other) => other.held.agent === agent) >= WAITING_PER_AGENT_MAX)
      return 'too much of this agent waits for approval already';
    const hold = this.#next;
    this.#next += 1;
    this.#waiting.set(hold, question);
    this.#send({ type: 'held', hold, held: question.held });
    return (outcome) => {
      this.#take(hold, outcome);
    };
  }

  /** Somebody has answered. What is not waited for any more is left alone. */
  answered({ hold, approved, reason, by }: HoldAnswer): void {
    const question = this.#take(hold, approved ? 'approved' : 'denied');
    question?.answered({ approved, reason, by });
  }

  /** Denies what waits; nothing is asked until it is opened again. @param why in words that end a sentence */
  close(why: string): void {
    this.#closed = why;
    for (const hold of [...this.#waiting.keys()])
      this.#take(hold, 'withdrawn')?.answered({ approved: false, reason: why, by: null });
  }

  open(): void {
    this.#closed = null;
  }

  #take(hold: number, outcome: HoldOutcome): Question | null {
    const question = this.#waiting.get(hold) ?? null;
    if (this.#waiting.delete(hold)) this.#send({ type: 'released', hold, outcome });
    return question;
  }

  #count(fits: (question: Question) => boolean): number {
    let count = 0;
    for (const question of this.#waiting.values()) if (fits(question)) count += 1;
    return count;
  }
}
