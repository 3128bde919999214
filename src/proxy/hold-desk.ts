/**
 * A worker's questions about what policy holds: people answer them by way of the daemon, which keeps the list.
 *
 * How many may wait is a bound of the host, which the daemon keeps; what is beyond it already here, the daemon is not asked about.
 * While there is no daemon nobody can be asked: what waits is denied, and so is what would have to.
 */
import type { HoldOutcome } from '../flow/hold.ts';
import { whyNoRoom } from '../flow/hold-room.ts';
import type { Approver, Question, Unasked, Verdict, Withdraw } from './approver.ts';
import type { HoldAnswer, WorkerMessage } from './ipc.ts';

export class HoldDesk implements Approver {
  readonly #send: (message: WorkerMessage, onSent?: () => void) => void;
  readonly #waiting = new Map<number, Question>();
  /** Approved, which the daemon is being told. */
  readonly #passing = new Set<number>();
  #next = 0;
  /** Why nobody can be asked now; null: the daemon is there. */
  #closed: string | null = null;
  /** Refusals the daemon has not been told of. */
  #refused = 0;

  /** @param send calls `onSent` when the message has left this process */
  constructor(send: (message: WorkerMessage, onSent?: () => void) => void) {
    this.#send = send;
  }

  ask(question: Question): Withdraw | Unasked {
    if (this.#closed !== null) return { why: this.#closed, isFull: false };
    const agents = [...this.#waiting.values()].map(({ held }) => held.agent);
    const full = whyNoRoom(agents, question.held.agent);
    if (full !== null) return { why: full, isFull: true };
    const hold = this.#next;
    this.#next += 1;
    this.#waiting.set(hold, question);
    this.#send({ type: 'held', hold, held: question.held });
    return (outcome) => {
      this.#passing.delete(hold);
      this.#take(hold, outcome);
    };
  }

  refused(): void {
    this.#refused += 1;
    // While there is no daemon its messages are kept, and there is no bound to what agents try.
    if (this.#closed === null) this.#tellRefused();
  }

  /**
   * Somebody has answered, or the daemon has no room for it. What is not waited for any more is left alone. What is approved may pass
   * when the daemon surely hears of it: of a worker that dies it is then known that it has let nothing pass without saying so.
   */
  answered({ hold, approved, reason, by }: HoldAnswer): void {
    const verdict: Verdict = { outcome: outcomeOf(approved, by), reason, by };
    if (verdict.outcome === 'approved') this.#pass(hold, verdict);
    else this.#take(hold, verdict.outcome)?.answered(verdict);
  }

  #pass(hold: number, verdict: Verdict): void {
    const question = this.#waiting.get(hold);
    if (question === undefined) return;
    this.#passing.add(hold);
    this.#take(hold, verdict.outcome, () => {
      if (this.#passing.delete(hold)) question.answered(verdict);
    });
  }

  /** Denies what waits; nothing is asked until it is opened again. @param why in words that end a sentence */
  close(why: string): void {
    this.#closed = why;
    for (const hold of [...this.#waiting.keys()])
      this.#take(hold, 'withdrawn')?.answered({ outcome: 'withdrawn', reason: why, by: null });
  }

  open(): void {
    this.#closed = null;
    if (this.#refused > 0) this.#tellRefused();
  }

  #tellRefused(): void {
    this.#send({ type: 'holds-refused', count: this.#refused });
    this.#refused = 0;
  }

  #take(hold: number, outcome: HoldOutcome, onSent?: () => void): Question | null {
    const question = this.#waiting.get(hold) ?? null;
    if (this.#waiting.delete(hold)) this.#send({ type: 'released', hold, outcome }, onSent);
    return question;
  }
}

function outcomeOf(approved: boolean, by: HoldAnswer['by']): Verdict['outcome'] {
  if (by === null) return 'refused';
  return approved ? 'approved' : 'denied';
}
