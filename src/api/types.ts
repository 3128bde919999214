/**
 * What the daemon tells and does through its API: the JSON shapes of every answer, and `ApiBackend`, which the
 * daemon implements. The server puts HTTP around it and nothing else; the client gives the same shapes back.
 *
 * These names are an interface: they stand in `sluice status --output json`. A field may be added; none is
 * renamed or given another meaning.
 */
import type { ErrorCode } from '../core/errors.ts';
import type { Answerer, HoldOutcome } from '../flow/hold.ts';
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
  /** It takes no connections for want of file descriptors; they wait. */
  readonly outOfDescriptors: boolean;
}

/** A worker that was replaced and carries its flows to their end. */
export interface DrainingStatus {
  readonly number: number;
  readonly pid: number;
  readonly openFlows: number;
  /** RFC 3339; what is open then is cut. */
  readonly until: string;
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

/** How often an agent was refused in the kernel by one technique, since the pins were made; exact. */
export interface DenialStatus {
  /** Name of the agent; its id in hexadecimal if the policy has it no longer. */
  readonly agent: string;
  /** See docs/flow-log.md. */
  readonly technique: string;
  readonly count: number;
}

/** A table or ring of the kernel plane whose size is chosen by `--table`. */
export interface TableStatus {
  readonly name: string;
  /** The most entries; of a ring, bytes. */
  readonly size: number;
  /** What there was no room for since the pins were made; null where the oldest gives way, or a policy is refused. */
  readonly refused: number | null;
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

/** Flows that ended, since the daemon started. */
export interface OutcomeStatus {
  readonly disposition: string;
  readonly reason: string;
  readonly count: number;
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
  /** Enforcement tier in force, as measured: `base`, the cgroup hooks, or `lsm`, the BPF LSM as well. */
  readonly tier: string;
  /** One sentence: why the tier is not the highest; null when it is. */
  readonly tierReason: string | null;
  readonly programs: readonly ProgramStatus[];
  readonly listeners: readonly ListenerStatus[];
  readonly workers: readonly WorkerStatus[];
  readonly draining: readonly DrainingStatus[];
  readonly policy: PolicyStatus;
  readonly ledger: LedgerStatus;
  readonly holds: HoldCounts;
  readonly outcomes: readonly OutcomeStatus[];
  readonly rings: { readonly flow: RingStatus; readonly deny: RingStatus };
  /** Refusals in the kernel, told in records or not; those of the self-test are left out. Most first. */
  readonly denials: readonly DenialStatus[];
  readonly tables: readonly TableStatus[];
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

/** Why a process is an agent. */
export type AgentReason = 'cgroup' | 'run' | 'exe' | 'uid' | 'enrolled' | 'place' | 'untagged';

/** One process that is an agent. */
export interface AgentProcess {
  readonly pid: number;
  /** Null: an agent policy no longer has. `sluice-unknown`: governed without being known, and allowed nothing. */
  readonly agent: string | null;
  /** `untagged`: the table of processes was full; it is `sluice-unknown` until it ends. `place`: it runs a file that lies where an enrolled one lay, and that the daemon has not looked at yet. */
  readonly reason: AgentReason;
  /** Its parent was the agent, for that reason. */
  readonly inherited: boolean;
  /** It ran before policy named it, so it may hold sockets from before: `sockets.ungoverned`. */
  readonly wasRunning: boolean;
  /** RFC 3339: when it became an agent. */
  readonly since: string;
  /** RFC 3339. */
  readonly startedAt: string;
  readonly uid: number;
  /** As /proc shows it; null when the process is gone by now. */
  readonly exe: string | null;
  /** Path below the cgroup v2 mount, likewise. */
  readonly cgroup: string | null;
  readonly sockets: {
    /** TCP and UDP over IPv4 and IPv6. */
    readonly internet: number;
    /** Those of them that are from before it was an agent, and are not governed. */
    readonly ungoverned: number;
    /** Of any other family. */
    readonly other: number;
  };
  /** Open now. */
  readonly flows: number;
}

export interface AgentList {
  /** In the order of pids, the first `limit` of them. */
  readonly agents: readonly AgentProcess[];
  readonly total: number;
}

export interface EnrolRequest {
  /** A pid, or the name of a unit. */
  readonly target: string;
  /** Name of an agent of the policy. */
  readonly agent: string;
  /** Also cut what is connected already, and govern every socket it has. */
  readonly now: boolean;
}

export interface EnrolledSocket {
  readonly pid: number;
  readonly fd: number;
  /** `tcp`, `udp`, `raw`, `unix`, `packet`, … */
  readonly kind: string;
  /** As it was found. */
  readonly state: 'connected' | 'listening' | 'unconnected';
  readonly local: string | null;
  readonly remote: string | null;
  /**
   * `destroyed`: the connection was ended. `cut`: it could not be, but nothing it sends gets out. `governed`: whatever it
   * does from now on is judged. `left`: as it was, without `now`. `ungoverned`: of a family Sluice does not see.
   */
  readonly outcome: 'destroyed' | 'cut' | 'governed' | 'left' | 'ungoverned';
}

export interface Enrolled {
  readonly agent: string;
  /** Processes that became this agent now, or were it before. */
  readonly processes: readonly { readonly pid: number; readonly exe: string | null; readonly was: boolean }[];
  /** Descendants that are another agent already, and stay that. */
  readonly others: readonly { readonly pid: number; readonly agent: string | null }[];
  /** The first 1000. */
  readonly sockets: readonly EnrolledSocket[];
  readonly socketsTotal: number;
}

/**
 * What the daemon implements. Any method may be called at any time and by several callers at once. A
 * `SluiceError` that is thrown reaches the client with its code, message and hint (and `problems`, if it has
 * them); anything else is reported as an internal error without its text.
 */
export interface WorkersRestarted {
  /** What still carries flows; those of earlier restarts too. */
  readonly draining: readonly DrainingStatus[];
}

/** Something that waits for an answer. */
export interface HoldStatus {
  /** By which it is answered; never given twice. */
  readonly id: string;
  /** Name of the agent in the policy; null if it is none of the policy's. */
  readonly agent: string | null;
  /** Id of the flow. */
  readonly flow: string;
  /** Names of the rules that hold it. */
  readonly rules: readonly string[];
  /** What is to be done; one for each operation of the message, 16 at the most, as with the other lists. */
  readonly verbs: readonly string[];
  /** What it is about: `schema.table`, `function()`. */
  readonly objects: readonly string[];
  /**
   * What is to be run, masked as policy masks it, and behind it what that executes by name; `text` is cut if it is long, and null where
   * something is to be masked in it that cannot be. `bytes`: of the whole.
   */
  readonly texts: readonly { readonly text: string | null; readonly bytes: number }[];
  /** Values of its parameters, as far as they are short: `'text'`, `42`, `NULL`, `\x00ff`. */
  readonly values: readonly string[];
  /** What the lists had no room for. */
  readonly more: number;
  /** RFC 3339. */
  readonly since: string;
  /** RFC 3339; what nobody has answered then is denied. */
  readonly until: string;
}

export interface HoldList {
  /** Oldest first. */
  readonly holds: readonly HoldStatus[];
}

export interface HoldAnswered {
  readonly id: string;
  readonly approved: boolean;
  /** Put on record, and told to the agent where it is denied. */
  readonly reason?: string;
}

/** What waits for answers, and what has come of what has waited, since the daemon started. */
export interface HoldCounts {
  readonly waiting: number;
  /** Since when the oldest waits; null: nothing does. */
  readonly oldestSeconds: number | null;
  /** How many have ended so, and how long they have waited together. */
  readonly ended: readonly {
    readonly outcome: HoldOutcome;
    readonly count: number;
    readonly seconds: number;
  }[];
}

/** One line of `/v1/holds/follow`; the others are those of flows. */
export type FollowedHold = { readonly type: 'hold'; readonly hold: HoldStatus } | FollowState;

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
  /** Who is an agent now, and why. */
  agents(limit: number): Promise<AgentList>;
  /** Makes running processes agents. Throws when there is no such process, unit or agent, or it is another's. */
  enrol(request: EnrolRequest): Promise<Enrolled>;
  /** What waits for an answer. */
  holds(): Promise<HoldList>;
  /** Calls `listener` with whatever begins to wait from now on; returns what ends that. `listener` never throws. */
  onHold(listener: (hold: HoldStatus) => void): () => void;
  /** Answers what waits. Throws when nothing waits under that id. @param by who is at the other end of the connection */
  answerHold(answer: HoldAnswered, by: Answerer): Promise<HoldStatus>;
  /** Replaces every worker, one after the other, without breaking a flow. Throws while that is under way. */
  restartWorkers(): Promise<WorkersRestarted>;
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
export type FollowEvent = { readonly type: 'flow'; readonly flow: FlowRecord } | FollowState;

export type FollowState =
  /** Sent when nothing else was for a while, so that silence means a broken connection. */
  | { readonly type: 'heartbeat' }
  /** The last line: the client read too slowly and these many records (or holds) were not sent. */
  | { readonly type: 'cut'; readonly missed: number }
  /** The last line: the daemon is stopping. */
  | { readonly type: 'end' };
