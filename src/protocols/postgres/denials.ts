/**
 * Statements that are denied on their way through the server: in the place of each the server gets a text that is no SQL, and its
 * error about that becomes the denial. Why so is said in statement-gate.ts.
 */
import { randomBytes } from 'node:crypto';
import { message } from './message.ts';

/** Why a statement does not pass, in the words the agent gets. */
export interface Denial {
  /** SQLSTATE (PostgreSQL documentation, appendix A). */
  readonly sqlState: string;
  readonly message: string;
  readonly hint: string;
}

/** What an agent is told beside why. */
export const NOT_RUN = 'The statement has not been run. The session goes on.';

const PARSE = 0x50; // 'P'
/** Denials whose error has not come yet; those that the server skipped never get one. */
const PENDING_MAX = 1_024;

/** Those of a session. Each has to pass through the server. */
export class Denials {
  readonly #token = `sluice_denied_${randomBytes(12).toString('hex')}_`;
  readonly #denials = new Map<number, Denial>();
  #last = 0;

  /** A text that is no SQL, whose error is to become this denial. */
  #add(denial: Denial): string {
    this.#last += 1;
    this.#denials.set(this.#last, denial);
    for (const [oldest] of this.#denials) {
      if (this.#denials.size <= PENDING_MAX) break;
      this.#denials.delete(oldest);
    }
    return `${this.#token}${this.#last}`;
  }

  /** The denial an error stands for, once. */
  take(error: Buffer): Denial | null {
    const at = error.indexOf(this.#token, 0, 'latin1');
    if (at === -1) return null;
    const digits = /^\d{1,9}/.exec(
      error.toString('latin1', at + this.#token.length, at + this.#token.length + 9),
    );
    const number = Number(digits?.[0] ?? 0);
    const denial = this.#denials.get(number) ?? null;
    this.#denials.delete(number);
    return denial;
  }

  /** A message of that type for the server in whose place the denial stands. */
  substitute(type: number, denial: Denial): Buffer {
    const text = Buffer.from(`${this.#add(denial)}\0`, 'latin1');
    return type === PARSE ? message(type, Buffer.alloc(1), text, Buffer.alloc(2)) : message(type, text);
  }
}
