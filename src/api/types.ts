/**
 * What the daemon tells and does through its API: the JSON shapes of every answer, and `ApiBackend`, which the
 * daemon implements. The server puts HTTP around it and nothing else; the client gives the same shapes back.
 *
 * These names are an interface: they stand in `sluice status --output json`. A field may be added; none is
 * renamed or given another meaning.
 */
import type { ErrorCode } from '../core/errors.ts';
import type { FlowRecord } from '../flow/record.ts';
import type { Problem } from '../policy/problems.ts';
import type { FlowFilter } from './flow-filter.ts';

export interface ProgramStatus {
  readonly name: string;
  /** As the kernel names it: `cgroup_inet4_connect`, `cgroup_sock_ops`, `sched_process_fork`, … */
  readonly attachType: string;
  /** Attached and run for the agents' cgroups, as the kernel reports it now. */
  readonly effective: boolean;
  /** Its link outlives the daemon. */
  readonly pinned: boolean;
}

export interface ListenerStatus {
  readonly ip: string;
  readonly port: number;
  /** The network namespace it is in, as /proc/PID/ns/net shows it: `net:[4026531840]`. */
  readonly netns: string;
}

export interface WorkerStatus {
  readonly number: number;
  /** Null while it is being started again. */
  readonly pid: number | null;
  readonly openFlows: number;
  readonly accepted: number;
  readonly refused: number;
  readonly restarts: number;
}

export interface PolicyStatus {
  readonly revision: string;
  readonly path: string;
  /** RFC 3339. */
  readonly loadedAt: string;
  /** Why the last reload was refused; null once one has succeeded. The revision above stays in force. */
  readonly lastError: string | null;
}

/** Counts since the daemon started. */
export interface LedgerStatus {
  readonly open: number;
  readonly allowed: number;
  readonly denied: number;
  readonly errors: number;
  /** Records with the reason `lost`: the flow was closed, no worker reported it, and none had died. */
  readonly lost: number;
}

export interface RingStatus {
  readonly received: number;
  /** Events the kernel could not put into the ring; enforcement does not wait for it. */
  readonly lost: number;
}

export interface StoreStatus {
  readonly ok: boolean;
  /** What is wrong; null when `ok`. */
  readonly error: string | null;
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  /** Records that could not be stored since the daemon started. */
  readonly dropped: number;
}

export interface SelfTestStatus {
  /** RFC 3339. */
  readonly at: string;
  readonly ok: boolean;
  /** One sentence: what was tried and what came of it. */
  readonly detail: string;
}

export interface Status {
  readonly version: string;
  readonly pid: number;
  /** RFC 3339. */
  readonly startedAt: string;
  /** False: agents may not be governed, or may not connect at all; `reasons` says which. */
  readonly enforcing: boolean;
  /** One sentence for each thing that is not as it should be; empty when all is well. */
  readonly reasons: readonly string[];
  /** Enforcement tier in force. This version has one, `base`. */
  readonly tier: string;
  readonly programs: readonly ProgramStatus[];
  readonly listeners: readonly ListenerStatus[];
  readonly workers: readonly WorkerStatus[];
  readonly policy: PolicyStatus;
  readonly ledger: LedgerStatus;
  readonly rings: { readonly flow: RingStatus; readonly deny: RingStatus };
  readonly store: StoreStatus;
  /**
   * Everything else that is counted, by name, since the daemon started or, for `kernel.*`, since the pins were
   * made. Names with `lost`, `dropped`, `untagged` or `malformed` in them should stay at 0.
   */
  readonly counters: Readonly<Record<string, number>>;
  /** Null until the first one has run. */
  readonly selfTest: SelfTestStatus | null;
}

export interface PolicyDocument {
  /** Absolute; files the document names are found relative to it. */
  readonly path: string;
  /** YAML. */
  readonly text: string;
}

export interface PolicyApplied {
  readonly revision: string;
}

export interface RunGranted {
  /** Absolute path of the new cgroup's directory; already enrolled. */
  readonly cgroupPath: string;
  /** False: no agent of the policy has this name, so nothing but the default decides its flows. */
  readonly agentKnown: boolean;
}

export interface RunReleased {
  /** False: processes are left in it; it goes away when they do. */
  readonly removed: boolean;
}

/**
 * What the daemon implements. Any method may be called at any time and by several callers at once. A
 * `SluiceError` that is thrown reaches the client with its code, message and hint (and `problems`, if it has
 * them); anything else is reported as an internal error without its text.
 */
export interface ApiBackend {
  status(): Promise<Status>;
  /** Stored records that match, oldest first; the newest `filter.limit` of them. */
  flows(filter: FlowFilter): Promise<readonly FlowRecord[]>;
  /** Calls `listener` with every record from now on, in order; returns what ends that. `listener` never throws. */
  onFlow(listener: (record: FlowRecord) => void): () => void;
  /** Puts a policy in force, or throws and leaves the old one. */
  applyPolicy(document: PolicyDocument): Promise<PolicyApplied>;
  /** Makes a cgroup and enrols it under the agent's name. */
  createRun(name: string): Promise<RunGranted>;
  /** Removes a cgroup that `createRun` made; throws for any other path. */
  releaseRun(cgroupPath: string): Promise<RunReleased>;
  /** Runs the canary connect now. A failed test is an answer, not an error. */
  selfTest(): Promise<SelfTestStatus>;
}

/** Codes the HTTP layer adds to those of `SluiceError`. */
export type ApiErrorCode =
  | ErrorCode
  | 'BAD_REQUEST'
  | 'BUSY'
  | 'INTERNAL'
  | 'METHOD_NOT_ALLOWED'
  | 'NOT_FOUND'
  | 'TIMEOUT'
  | 'TOO_LARGE';

/** The body of every answer with a status of 400 or more. */
export interface ApiErrorBody {
  readonly error: {
    readonly code: ApiErrorCode;
    readonly message: string;
    readonly hint: string | null;
    /** Of a policy document, with `POLICY`. */
    readonly problems?: readonly Problem[];
  };
}

/** One line of `/v1/flows/follow`. */
export type FollowEvent =
  | { readonly type: 'flow'; readonly flow: FlowRecord }
  /** Sent when nothing else was for a while, so that silence means a broken connection. */
  | { readonly type: 'heartbeat' }
  /** The last line: the client read too slowly and these many records were not sent. */
  | { readonly type: 'cut'; readonly missed: number }
  /** The last line: the daemon is stopping. */
  | { readonly type: 'end' };
