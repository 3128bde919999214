/**
 * What the daemon's log says of what waits for approval: when it begins and how it ends. Answers are told always, as people give them
 * one by one; of the rest so many of an agent in a minute and so many in all, since an agent may ask and cancel as fast as it likes.
 * What is left out is counted here, and by outcome in metrics and `sluice status`.
 */
import { plainLine } from '../core/unsafe-text.ts';

const WINDOW_MS = 60_000;
/** A hold is two lines. */
const PER_AGENT = 20;
/** Names of agents are claims of workers, and may be invented. */
const IN_ALL = 200;
/** Of those that had something left out. */
const NAMED_MAX = 4;

export class HoldLog {
  readonly #log: (line: string) => void;
  readonly #windowMs: number;
  readonly #told = new Map<string | null, number>();
  #toldInAll = 0;
  readonly #leftOut = new Map<string, number>();
  /** A minute has begun, at whose end all is counted anew. */
  #isCounting = false;

  constructor(log: (line: string) => void, windowMs = WINDOW_MS) {
    this.#log = log;
    this.#windowMs = windowMs;
  }

  /** Names are workers' claims, and reasons anybody's: neither may begin a line of its own. */
  say(line: string): void {
    this.#log(plainLine(line));
  }

  /** Says that something begins to wait, or cannot. @returns whether it was said, and its end is to be said as well */
  begins(agent: string | null, line: string): boolean {
    if (!this.#isCounting) setTimeout(() => this.#next(), this.#windowMs).unref();
    this.#isCounting = true;
    const ofAgent = this.#told.get(agent) ?? 0;
    if (ofAgent >= PER_AGENT || this.#toldInAll >= IN_ALL) {
      // Of names beyond the bound it is enough to know how many there were.
      const name = this.#leftOut.size < NAMED_MAX ? (agent ?? 'an unknown agent') : 'others';
      this.#leftOut.set(name, (this.#leftOut.get(name) ?? 0) + 1);
      return false;
    }
    this.#told.set(agent, ofAgent + 1);
    this.#toldInAll += 1;
    this.say(line);
    return true;
  }

  #next(): void {
    this.#isCounting = false;
    const counts = [...this.#leftOut].map(([name, count]) => `${count} by ${name}`);
    this.#told.clear();
    this.#toldInAll = 0;
    this.#leftOut.clear();
    if (counts.length > 0)
      this.say(`holds that are not told of here, too many in a minute: ${counts.join(', ')}`);
  }
}
