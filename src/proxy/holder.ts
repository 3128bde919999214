/**
 * Holds what policy wants approved, for one flow: asks, puts the clock to it, and gives the answer. One text waits at a time,
 * because what comes after it waits behind it.
 */
import { describeHeld } from '../flow/hold.ts';
import type { Operation } from '../flow/operation.ts';
import { judgeOperation } from '../policy/operations.ts';
import type { CompiledOperationRule } from '../policy/types.ts';
import { LATER } from '../protocols/layer.ts';
import { type Denial, NOT_RUN } from '../protocols/postgres/denials.ts';
import type { Approver, Withdraw } from './approver.ts';

export interface HolderOptions {
  readonly rules: readonly CompiledOperationRule[];
  readonly approver: Approver;
  readonly flow: string;
  /** Null: it is none of the policy's. */
  readonly agent: string | null;
  /** How many operations of a text were held, and what became of them. */
  readonly onHeld: (count: number) => void;
  readonly onAnswered: (count: number, approved: boolean) => void;
}

interface Waiting {
  readonly count: number;
  readonly what: string;
  readonly withdraw: Withdraw;
  readonly timer: NodeJS.Timeout;
}

export class Holder {
  readonly #options: HolderOptions;
  #waiting: Waiting | null = null;
  #give: (answer: Denial | null) => void = ignore;
  /** Why nothing is held any more. */
  #over: string | null = null;

  constructor(options: HolderOptions) {
    this.#options = options;
  }

  /** @param give takes the answer to what was answered LATER; null: it may pass */
  start(give: (answer: Denial | null) => void): void {
    this.#give = give;
  }

  /** Of operations that policy holds, or some of which. */
  decide(operations: readonly Operation[]): Denial | typeof LATER {
    const { rules, approver, flow, agent, onHeld } = this.#options;
    const holding = operations.map((operation) => ({ operation, by: judgeOperation(rules, operation).held }));
    const held = holding.filter(({ by }) => by.length > 0);
    const by = held.flatMap((one) => one.by);
    const count = held.length;
    const what = `${held[0]?.operation.verb ?? ''} ${wordsOf(by[0])}`;
    const timeoutMs = Math.min(...by.map(({ holdTimeoutMs }) => holdTimeoutMs ?? 0));
    onHeld(count);
    const names = by.map(({ name }) => name);
    const withdraw =
      this.#over ??
      approver.ask({
        held: describeHeld({ flow, agent, timeoutMs }, names, operations),
        answered: ({ approved, reason }) => this.#answered(approved, reason),
      });
    if (typeof withdraw === 'string') {
      this.#options.onAnswered(count, false);
      return denial(`${what}, and ${withdraw}`);
    }
    const timer = setTimeout(() => {
      this.#end(denial(`${what}, and nobody has answered in ${Math.ceil(timeoutMs / 1_000)} seconds`));
    }, timeoutMs);
    this.#waiting = { count, what, withdraw, timer };
    return LATER;
  }

  /** The agent has asked to cancel. */
  cancel(): void {
    this.#end(CANCELLED);
  }

  /** Denies what waits and whatever would have to. @param why in words that end a sentence */
  release(why: string): void {
    this.#over ??= why;
    if (this.#waiting !== null) this.#end(denial(`${this.#waiting.what}, and ${why}`));
  }

  #answered(approved: boolean, reason: string | null): void {
    const what = this.#waiting?.what ?? '';
    this.#end(approved ? null : denial(`${what}, and was denied${reason === null ? '' : `: ${reason}`}`));
  }

  #end(answer: Denial | null): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    this.#waiting = null;
    clearTimeout(waiting.timer);
    waiting.withdraw();
    this.#options.onAnswered(waiting.count, answer === null);
    this.#give(answer);
  }
}

function wordsOf(rule: CompiledOperationRule | undefined): string {
  const reason = rule?.reason ?? null;
  return `needs approval by rule "${rule?.name ?? ''}"${reason === null ? '' : ` (${reason})`}`;
}

function denial(words: string): Denial {
  return { sqlState: '42501', message: `Sluice: ${words}`, hint: NOT_RUN };
}

/** In the server's own words and code, by which drivers know what they have asked for. */
const CANCELLED: Denial = {
  sqlState: '57014',
  message: 'canceling statement due to user request',
  hint: `It waited for approval at Sluice. ${NOT_RUN}`,
};

function ignore(): void {
  // Nobody listens yet, and nothing has been asked.
}
