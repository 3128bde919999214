/** A worker's questions to its daemon that have not been answered. Each is answered once or, without an answer in time, by null. */

/** Longer than a daemon, or the other worker that it asks, is kept by a busy host or by work of its own. */
const TIMEOUT_MS = 5_000;

interface Open<Answer> {
  readonly about: string;
  readonly settle: (answer: Answer | null) => void;
}

export class OpenQuestions<Answer> {
  readonly #max: number;
  readonly #timeoutMs: number;
  readonly #open = new Map<number, Open<Answer>>();
  #next = 0;

  /** @param max as many wait; what is asked beyond has no answer */
  constructor(max: number, timeoutMs = TIMEOUT_MS) {
    this.#max = max;
    this.#timeoutMs = timeoutMs;
  }

  /** Never rejects. @param about what tells the question from others. @param send takes the question's number */
  ask(about: string, send: (question: number) => void): Promise<Answer | null> {
    if (this.#open.size >= this.#max) return Promise.resolve(null);
    const question = this.#next;
    this.#next = (this.#next + 1) >>> 0;
    return new Promise((resolve) => {
      const settle = (answer: Answer | null): void => {
        clearTimeout(timer);
        this.#open.delete(question);
        resolve(answer);
      };
      const timer = setTimeout(() => settle(null), this.#timeoutMs);
      this.#open.set(question, { about, settle });
      send(question);
    });
  }

  /** Numbers begin anew with each process: an answer to a predecessor, about something else, is none. */
  answered(question: number, about: string, answer: Answer | null): void {
    const open = this.#open.get(question);
    if (open?.about === about) open.settle(answer);
  }
}
