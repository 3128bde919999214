/**
 * Who says whether what policy holds may pass: a port, behind which may be people at a command line, a chat, another service.
 *
 * What nobody approves is denied, whyever: no approver, no answer in time, an approver that is gone.
 */
import type { Answerer, Held, HoldOutcome } from '../flow/hold.ts';

export interface Verdict {
  readonly approved: boolean;
  /** Told to the agent where it is denied. */
  readonly reason: string | null;
  /** Null: nobody can answer any more. */
  readonly by: Answerer | null;
}

export interface Question {
  readonly held: Held;
  /** Called once at the most, never before `ask` has returned. */
  readonly answered: (verdict: Verdict) => void;
}

/** Takes the question back: nobody waits for its answer any more. @param outcome what has become of it instead */
export type Withdraw = (outcome: HoldOutcome) => void;

export interface Approver {
  /** Why nobody can be asked, in words that end a sentence; or what takes the question back. */
  ask(question: Question): Withdraw | string;
}

export const NO_APPROVER: Approver = {
  ask: () => 'nobody can approve it here',
};
