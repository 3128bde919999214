/**
 * Who says whether what policy holds may pass: a port, behind which may be people at a command line, a chat, another service.
 *
 * What nobody approves is denied, whyever: no approver, no answer in time, an approver that is gone.
 */
import type { Answerer, Held, HoldOutcome } from '../flow/hold.ts';

/** What is no approval is a denial. */
export interface Verdict {
  /** `withdrawn`: nobody can answer any more; `refused`: there was no room for it. */
  readonly outcome: 'approved' | 'denied' | 'withdrawn' | 'refused';
  /** Told to the agent where it is denied. */
  readonly reason: string | null;
  /** Null: nobody has answered. */
  readonly by: Answerer | null;
}

/** Nobody can be asked. */
export interface Unasked {
  /** In words that end a sentence. */
  readonly why: string;
  /** Too much waits already. */
  readonly isFull: boolean;
}

export interface Question {
  readonly held: Held;
  /** Called once at the most, never before `ask` has returned. */
  readonly answered: (verdict: Verdict) => void;
}

/** Takes the question back: nobody waits for its answer any more. @param outcome what has become of it instead */
export type Withdraw = (outcome: HoldOutcome) => void;

export interface Approver {
  /** What takes the question back, or why nobody can be asked. */
  ask(question: Question): Withdraw | Unasked;
  /** Something was denied because nobody could be asked about it, for whatever reason: to be counted. */
  refused(): void;
}

export const NO_APPROVER: Approver = {
  ask: () => ({ why: 'nobody can approve it here', isFull: false }),
  refused: () => undefined,
};
