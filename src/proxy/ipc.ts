/**
 * What the daemon and a worker say to each other, over a channel (channel.ts) on a descriptor the worker is born
 * with.
 *
 * The daemon trusts nothing in a worker's message: a worker reads hostile bytes. A worker trusts the daemon. When the
 * channel closes the worker exits at once: no worker outlives its daemon, unless that hands the channel over.
 *
 * A worker that is to be replaced is told `retire`, says `retired`, and is silent until it is `adopted`, so that no
 * message is cut in two when its channel goes from one daemon to the next. `drained` is its last word.
 */
import type { Answerer, Held, HoldOutcome } from '../flow/hold.ts';
import type { FlowRecord, WorkerFlowReport } from '../flow/record.ts';
import type { CompiledPolicy } from '../policy/types.ts';
import type { SessionServer } from './cancel-keys.ts';

/** A listening socket the worker was started with, by its descriptor number there. */
export interface ListenerHandle {
  readonly fd: number;
  readonly family: 4 | 6;
}

export interface InitMessage {
  readonly type: 'init';
  readonly worker: number;
  readonly policy: CompiledPolicy;
  readonly listeners: readonly ListenerHandle[];
  readonly maxFlows: number;
  /** Microseconds; 0: none (busy-poll.ts). */
  readonly busyPollUs: number;
}

/** Which name did this agent last resolve to that address? The forwarder knows; the daemon passes it on. */
export interface NameQuestion {
  readonly type: 'name';
  /** Number by which the asker knows the answer again. */
  readonly question: number;
  readonly agentId: number;
  readonly ip: string;
}

export interface NameAnswer extends NameQuestion {
  readonly name: string | null;
}

/**
 * Who has the PostgreSQL session this digest (cancel-keys.ts) stands for? A worker asks the daemon, which asks the others under
 * a number of its own.
 */
export interface CancelQuestion {
  readonly type: 'cancel';
  readonly question: number;
  /** 64 hexadecimal digits. */
  readonly digest: string;
}

export interface CancelAnswer {
  readonly type: 'cancel-found';
  readonly question: number;
  readonly digest: string;
  /** Null: nobody has it. */
  readonly session: {
    /** The server's key, in hexadecimal. */
    readonly key: string;
    readonly server: SessionServer;
  } | null;
}

/** What people say to something that is held, or the daemon where it has no room for it. */
export interface HoldAnswer {
  /** As the worker has numbered it. */
  readonly hold: number;
  readonly approved: boolean;
  /** Told to the agent where it is denied. */
  readonly reason: string | null;
  /** Null: the daemon. */
  readonly by: Answerer | null;
}

/** Something waits until it is answered, or is `released`. */
export interface HeldMessage {
  readonly type: 'held';
  /** Number by which the worker knows the answer again. */
  readonly hold: number;
  readonly held: Held;
  /** For so long already, because an earlier daemon was asked before. */
  readonly waitedMs: number;
}

/** It waits no more: it was answered, or nobody needs an answer. Said before what was approved is let pass. */
export interface ReleasedMessage {
  readonly type: 'released';
  readonly hold: number;
  /** What has become of it. */
  readonly outcome: HoldOutcome;
}

/** Statements that were denied because nobody could be asked about them. */
export interface HoldsRefusedMessage {
  readonly type: 'holds-refused';
  readonly count: number;
}

/** It is to take no more connections, and to fall silent until it is adopted. */
export interface RetireMessage {
  readonly type: 'retire';
  /** Flows that are still open then are cut. */
  readonly graceMs: number;
  /** The daemon will be gone before the next is there, and must not take the worker along. */
  readonly outlive: boolean;
  /** This daemon adopts it at once: what waits for approval is on its list, and may go on waiting. */
  readonly daemonStays: boolean;
}

export type DaemonMessage =
  | InitMessage
  | NameAnswer
  | CancelQuestion
  | CancelAnswer
  | ({ readonly type: 'hold-answer' } & HoldAnswer)
  | { readonly type: 'policy'; readonly policy: CompiledPolicy }
  | RetireMessage
  | { readonly type: 'adopted' }
  /** The drain time-out has come early. */
  | { readonly type: 'cut' }
  | { readonly type: 'stop' };

/**
 * One ended flow. `kernel` is what the kernel said of it, `struct sluice_flow` in hex, for a daemon that has not
 * heard of the flow itself; null when the connection was nobody's flow (`not_an_agent`).
 */
export interface ReportedFlow {
  readonly kernel: string | null;
  readonly report: WorkerFlowReport;
}

export type WorkerMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'retired' }
  | { readonly type: 'drained' }
  | NameQuestion
  | CancelQuestion
  | CancelAnswer
  | HeldMessage
  | ReleasedMessage
  | HoldsRefusedMessage
  | { readonly type: 'policy-applied'; readonly revision: FlowRecord['policy_revision'] }
  | { readonly type: 'flows'; readonly flows: readonly ReportedFlow[] }
  /** Asks for unconnected sockets in an agent's network namespace; they come by the line of namespace-line.ts. */
  | {
      readonly type: 'sockets';
      /** In decimal. */
      readonly netnsCookie: string;
      readonly family: 4 | 6;
      readonly count: number;
    }
  | {
      readonly type: 'stats';
      /** CLOCK_MONOTONIC, milliseconds: every flow that ended before has been reported. */
      readonly atMs: number;
      readonly openFlows: number;
      /** Connections accepted since the worker started. */
      readonly accepted: number;
      /** Of those, the ones whose verdict was not `allow`. */
      readonly refused: number;
      /** It takes no connections for want of them. */
      readonly outOfDescriptors: boolean;
    };
