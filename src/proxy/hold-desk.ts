/**
 * A worker's questions about what policy holds: people answer them by way of the daemon, which keeps the list.
 *
 * How many may wait is a bound of the host, which the daemon keeps; what is beyond it already here, the daemon is not asked about.
 * Between two daemons it waits on, its clock running, and the next one is asked anew: its list begins empty.
 */
import type { HoldOutcome } from '../flow/hold.ts';
import { whyNoRoom } from '../flow/hold-room.ts';
import type { Approver, Question, Unasked, Verdict, Withdraw } from './approver.ts';
import type { HoldAnswer, WorkerMessage } from './ipc.ts';

interface Waiting {
  readonly question: Question;
  /** performance.now() */
  readonly sinceMs: number;
}

export class HoldDesk implements Approver {
  readonly #send: (message: WorkerMessage, onSent?: () => void) => void;
  readonly #waiting = new Map<number, Waiting>();
  /** Approved, which the daemon is being told. */
  readonly #passing = new Set<number>();
  #next = 0;
  /** Why nobody can be asked any more; null: they can. */
  #closed: string | null = null;
  /** One daemon has gone, and the next is not there yet. */
  #suspended = false;
  /** Refusals the daemon has not been told of. */
  #refused = 0;

  /** @param send calls `onSent` when the message has left this process */
  constructor(send: (message: WorkerMessage, onSent?: () => void) => void) {
    this.#send = send;
  }

  ask(question: Question): Withdraw | Unasked {
    if (this.#closed !== null) return { why: this.#closed, isFull: false };
    const agents = [...this.#waiting.values()].map(({ question: { held } }) => held.agent);
    const full = whyNoRoom(agents, question.held.agent);
    if (full !== null) return { why: full, isFull: true };
    const hold = this.#next;
    this.#next += 1;
    const waiting = { question, sinceMs: performance.now() };
    this.#waiting.set(hold, waiting);
    if (!this.#suspended) this.#tell(hold, waiting);
    return (outcome) => {
      this.#passing.delete(hold);
      this.#take(hold, outcome);
    };
  }

  refused(): void {
    this.#refused += 1;
    // What is said while there is no daemon would have to be kept, and there is no bound to what agents try.
    if (this.#closed === null && !this.#suspended) this.#tellRefused();
  }

  /**
   * Somebody has answered, or the daemon has no room for it. What is not waited for any more is left alone. What is approved may pass
   * when the daemon surely hears of it: of a worker that dies it is then known that it has let nothing pass without saying so. A daemon
   * that has let its workers go hears of nothing any more, and has told whoever answered so.
   */
  answered({ hold, approved, reason, by }: HoldAnswer): void {
    if (this.#suspended) return;
    const verdict: Verdict = { outcome: outcomeOf(approved, by), reason, by };
    if (verdict.outcome === 'approved') this.#pass(hold, verdict);
    else this.#take(hold, verdict.outcome)?.answered(verdict);
  }

  #pass(hold: number, verdict: Verdict): void {
    const question = this.#waiting.get(hold)?.question;
    if (question === undefined) return;
    this.#passing.add(hold);
    this.#take(hold, verdict.outcome, () => {
      if (this.#passing.delete(hold)) question.answered(verdict);
    });
  }

  /** The daemon goes and hears of nothing more; another will come. */
  suspend(): void {
    this.#suspended = true;
  }

  /** The next daemon is there, or the same one again. */
  resume(): void {
    if (!this.#suspended) return;
    this.#suspended = false;
    for (const [hold, waiting] of this.#waiting) this.#tell(hold, waiting);
    if (this.#refused > 0) this.#tellRefused();
  }

  /** Denies what waits; nothing is asked any more. @param why in words that end a sentence */
  close(why: string): void {
    this.#closed = why;
    for (const hold of [...this.#waiting.keys()])
      this.#take(hold, 'withdrawn')?.answered({ outcome: 'withdrawn', reason: why, by: null });
  }

  #tell(hold: number, { question: { held }, sinceMs }: Waiting): void {
    const waitedMs = Math.max(0, Math.round(performance.now() - sinceMs));
    const timeoutMs = Math.max(0, held.timeoutMs - waitedMs);
    this.#send({ type: 'held', hold, held: { ...held, timeoutMs }, waitedMs });
  }

  #tellRefused(): void {
    this.#send({ type: 'holds-refused', count: this.#refused });
    this.#refused = 0;
  }

  #take(hold: number, outcome: HoldOutcome, onSent?: () => void): Question | null {
    const question = this.#waiting.get(hold)?.question ?? null;
    if (this.#waiting.delete(hold) && !this.#suspended)
      this.#send({ type: 'released', hold, outcome }, onSent);
    return question;
  }
}

function outcomeOf(approved: boolean, by: HoldAnswer['by']): Verdict['outcome'] {
  if (by === null) return 'refused';
  return approved ? 'approved' : 'denied';
}
