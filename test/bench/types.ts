/**
 * What the parts of the benchmark hand to each other. A *contender* stands between load and servers; a
 * *workload* drives load through one contender; a *sample* is one such run; a *summary* is the median of them.
 */

/** What is carried. `http`: nginx behind TLS; `postgres`: PostgreSQL behind SSLRequest. */
export type Service = 'http' | 'postgres';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  /** The load generator speaks TLS itself. */
  readonly tls: boolean;
}

export interface RunningContender {
  readonly name: string;
  /** One address per process, so that load can be spread evenly over several. */
  endpoints(service: Service): readonly Endpoint[];
  /** The command that runs `argv` as load for this contender. */
  loadCommand(argv: readonly string[]): readonly string[];
  /** Root processes; whatever they start counts as theirs. Empty: there is no proxy. */
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

export type ContenderName = 'direct' | 'haproxy' | 'stunnel' | 'naive' | 'pgbouncer' | 'sluice';

export interface Contender {
  readonly name: ContenderName;
  readonly services: readonly Service[];
  /** `processes`: how many share the work. Fails when it does not come up. */
  start(world: World, processes: number): Promise<RunningContender>;
}

/** Where everything runs: servers in the far namespace, proxies and load in the near one. */
export interface World {
  /** Path of the namespace's file, for nsenter. */
  readonly near: string;
  readonly far: string;
  /** Address of the servers, reached over the veth pair. */
  readonly serverIp: string;
  /** Name in the servers' certificate. */
  readonly serverName: string;
  readonly caFile: string;
  /** Scratch directory; goes away with the world. */
  readonly directory: string;
  /** One processor for proxies, one for load and servers; the same when the host has only one. */
  readonly proxyCpu: number;
  readonly loadCpu: number;
  readonly signal: AbortSignal;
}

export type WorkloadName = 'bulk' | 'requests-16' | 'requests-64' | 'connections' | 'pgbench' | 'idle';

export interface Effort {
  /** Length of each run that is bounded by time. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly bulkBytes: number;
  readonly idleFlows: number;
}

/** What a workload measured on the load's side. */
export interface Outcome {
  /** In the workload's unit: bytes, requests, connections, transactions, flows. */
  readonly amount: number;
  readonly seconds: number;
  readonly p50Us: number | null;
  readonly p99Us: number | null;
  readonly errors: number;
}

export interface Workload {
  readonly name: WorkloadName;
  readonly service: Service;
  run(world: World, contender: RunningContender, effort: Effort, warmUp: boolean): Promise<Outcome>;
}

export interface Sample extends Outcome {
  readonly workload: WorkloadName;
  readonly contender: ContenderName;
  readonly round: number;
  /** User and system time of all proxy processes; null when there is no proxy. */
  readonly cpuSeconds: number | null;
  /** Idle flows only: growth of the proxies' proportional set size from before the flows. */
  readonly residentBytes: number | null;
}
