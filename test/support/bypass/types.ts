/** What the bypass matrix is made of: rows, attempts at them, and what came of each. */

export type Who = 'root' | 'user';
/** `mapped`: an IPv4 address on an IPv6 socket. */
export type Family = '4' | '6' | 'mapped';

/** One way by which an agent might get bytes past Sluice. */
export interface Row {
  /** Unique; what declarations, results and the document go by. */
  readonly name: string;
  readonly title: string;
  /** Of the test program: `bypass --list`. Default: the name. */
  readonly technique?: string;
  readonly option?: string;
  readonly who?: readonly Who[];
  readonly families?: readonly Family[];
  /**
   * Somebody who is no agent connects or listens first: the packets of that are not the agent's, whose bytes alone
   * tell.
   */
  readonly openedOutside?: boolean;
  /** Tried alone: it changes what others would run into. */
  readonly alone?: boolean;
}

export interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
}

/** What the test program said: the last line it printed. */
export type Said =
  | { readonly said: 'sent'; readonly note: string }
  | { readonly said: 'refused'; readonly step: string; readonly errno: string }
  | { readonly said: 'given'; readonly note: string }
  | { readonly said: 'not run'; readonly why: string }
  | { readonly said: 'tally'; readonly answered: number; readonly refused: number; readonly lost: number }
  /** Nothing: trying it went wrong, which is nobody's answer. */
  | { readonly said: 'failed'; readonly why: string };

/** One try of one row. */
export interface Attempt {
  readonly row: Row;
  readonly who: Who;
  readonly family: Family;
  /** What the agent asks for: nobody else's, so that every packet to or from it is this attempt's. */
  readonly address: string;
  readonly canary: string;
  /** How often the canary is sent, each time with a number behind it; 1 for most. */
  readonly times: number;
}

export interface Tried extends Attempt {
  readonly said: Said;
  /** Somebody else than the proxy had the canary, though it may not have crossed the wire. */
  readonly stolen: boolean;
}

/**
 * `redirected`: all that was sent arrived by way of the proxy, as TLS, and nothing else left.
 * `refused`: a call failed. `dropped`: the calls went well, and nothing arrived anywhere.
 * `held`: of many tries some were redirected and the others refused or dropped.
 * `open`: bytes left past the proxy, or a socket was handed out that no hook of this tier sees.
 * `failed`: trying or judging it went wrong, so nothing is known; the test fails, and other rows have their answers.
 */
export type Verdict = 'redirected' | 'refused' | 'dropped' | 'held' | 'open' | 'not run' | 'failed';

export interface Cell {
  readonly row: string;
  readonly who: Who;
  readonly family: Family;
  readonly verdict: Verdict;
  /** Errno and step of a refusal, why something was not run or failed, what crossed, at what part of its number. */
  readonly detail: string;
}

/** One run of the matrix: what is kept of it, and what docs/bypass-matrix.md is made of. */
export interface MatrixResult {
  /** Major and minor. */
  readonly kernel: string;
  readonly tier: string;
  readonly cells: readonly Cell[];
}
