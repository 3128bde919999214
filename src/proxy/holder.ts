/**
 * Holds what policy wants approved, for one flow: asks, puts the clock to it, and gives the answer. One text waits at a time,
 * because what comes after it waits behind it.
 */
import {
  type Answerer,
  describeHeld,
  type FlowHold,
  type HoldOutcome,
  type ShownHeld,
  summaryOf,
} from '../flow/hold.ts';
import type { Operation } from '../flow/operation.ts';
import { judgeOperation } from '../policy/operations.ts';
import type { CompiledOperationRule } from '../policy/types.ts';
import { LATER } from '../protocols/layer.ts';
import { type Denial, NOT_RUN } from '../protocols/postgres/denials.ts';
import type { Approver, Verdict, Withdraw } from './approver.ts';

export interface HolderOptions {
  readonly rules: readonly CompiledOperationRule[];
  readonly approver: Approver;
  readonly flow: string;
  /** Null: it is none of the policy's. */
  readonly agent: string | null;
  /** How many operations of a text were held, and what became of them. */
  readonly onHeld: (count: number) => void;
  readonly onEnded: (count: number, hold: FlowHold) => void;
}

interface Begun {
  readonly what: string;
  readonly rule: string;
  /** On the clock. */
  readonly sinceMs: number;
}

interface Ended {
  readonly outcome: HoldOutcome;
  readonly by?: Answerer | null;
  readonly reason?: string | null;
}

interface Waiting {
  readonly count: number;
  readonly what: string;
  readonly about: Begun;
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

  /** Of operations that policy holds, or some of which. @param shown what people see of them; null: it could not be read */
  decide(operations: readonly Operation[], shown: ShownHeld | null): Denial | typeof LATER {
    const { rules, approver, flow, agent, onHeld } = this.#options;
    const holding = operations.map((operation) => ({ operation, by: judgeOperation(rules, operation).held }));
    const held = holding.filter(({ by }) => by.length > 0);
    const by = held.flatMap((one) => one.by);
    const count = held.length;
    const what = `${held[0]?.operation.verb ?? ''} ${wordsOf(by[0])}`;
    const timeoutMs = Math.min(...by.map(({ holdTimeoutMs }) => holdTimeoutMs ?? 0));
    onHeld(count);
    const names = by.map(({ name }) => name);
    const told = describeHeld({ flow, agent, timeoutMs }, names, operations, shown ?? NOTHING_SHOWN);
    const about = { what: summaryOf(told), rule: told.rules[0] ?? '', sinceMs: Date.now() };
    const whyNot = this.#over ?? (shown === null ? 'its values cannot be shown' : null);
    const withdraw =
      whyNot === null
        ? approver.ask({ held: told, answered: (verdict) => this.#answered(verdict) })
        : { why: whyNot, isFull: false };
    if (typeof withdraw !== 'function') {
      const { why, isFull } = withdraw;
      if (this.#over === null) approver.refused();
      this.#options.onEnded(count, recordOf(about, { outcome: 'refused', reason: why }));
      return denial(`${what}, and ${why}`, isFull ? NO_ROOM : NOT_APPROVED);
    }
    const timer = setTimeout(() => {
      const late = denial(`${what}, and nobody has answered in ${Math.ceil(timeoutMs / 1_000)} seconds`);
      this.#end(late, { outcome: 'timed_out' });
    }, timeoutMs);
    this.#waiting = { count, what, about, withdraw, timer };
    return LATER;
  }

  /** The agent has asked to cancel. */
  cancel(): void {
    this.#end(CANCELLED, { outcome: 'cancelled' });
  }

  /** Denies what waits and whatever would have to. @param why in words that end a sentence */
  release(why: string): void {
    this.#over ??= why;
    if (this.#waiting === null) return;
    this.#end(denial(`${this.#waiting.what}, and ${why}`), { outcome: 'withdrawn', reason: why });
  }

  #answered({ outcome, reason, by }: Verdict): void {
    const what = this.#waiting?.what ?? '';
    const words =
      outcome === 'denied'
        ? `${what}, and was denied${reason === null ? '' : `: ${reason}`}`
        : `${what}, and ${reason}`;
    const denied = denial(words, outcome === 'refused' ? NO_ROOM : NOT_APPROVED);
    this.#end(outcome === 'approved' ? null : denied, { outcome, by, reason });
  }

  #end(answer: Denial | null, ended: Ended): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    this.#waiting = null;
    clearTimeout(waiting.timer);
    waiting.withdraw(ended.outcome);
    this.#options.onEnded(waiting.count, recordOf(waiting.about, ended));
    this.#give(answer);
  }
}

const NOTHING_SHOWN: ShownHeld = { texts: [], values: [] };

function recordOf({ what, rule, sinceMs }: Begun, { outcome, by = null, reason = null }: Ended): FlowHold {
  const time = new Date(sinceMs).toISOString();
  return { time, what, rule, waited_ms: Math.max(0, Date.now() - sinceMs), outcome, by, reason };
}

function wordsOf(rule: CompiledOperationRule | undefined): string {
  const reason = rule?.reason ?? null;
  return `needs approval by rule "${rule?.name ?? ''}"${reason === null ? '' : ` (${reason})`}`;
}

/** insufficient_privilege. */
const NOT_APPROVED = '42501';
/** configuration_limit_exceeded: trying again later may help. */
const NO_ROOM = '53400';

function denial(words: string, sqlState = NOT_APPROVED): Denial {
  return { sqlState, message: `Sluice: ${words}`, hint: NOT_RUN };
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
