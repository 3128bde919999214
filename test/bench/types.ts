/**
 * What the parts of the benchmark hand to each other. A *contender* stands between load and servers; a
 * *workload* drives load through one contender; a *sample* is one such run; a *summary* is the median of them.
 */
import type { Certificate } from '#test/support/pki.ts';
import type { World } from '#test/support/world.ts';
import type { Place } from './process.ts';

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

export type ContenderName =
  | 'direct'
  | 'haproxy'
  | 'stunnel'
  | 'naive'
  | 'pgbouncer'
  | 'sluice'
  | 'sluice-inspect'
  | 'sluice-mask';

export interface Contender {
  readonly name: ContenderName;
  readonly services: readonly Service[];
  /** `processes`: how many share the work. Fails when it does not come up. */
  start(world: BenchWorld, processes: number): Promise<RunningContender>;
}

/** Where everything runs. Servers share a processor with the load, proxies have the other. */
export interface BenchWorld {
  readonly world: World;
  readonly load: Place;
  readonly servers: Place;
  readonly proxies: Place;
  /** Address of the servers, reached over the veth pair, and the name in their certificate, which has both. */
  readonly serverIp: string;
  readonly serverName: string;
  readonly certificate: Certificate;
  readonly caFile: string;
  /** As Effort has it. */
  readonly busyPollUs: number;
  /** Scratch directory; goes away with the world. */
  readonly directory: string;
}

export type WorkloadName =
  | 'bulk'
  | 'requests-16'
  | 'requests-64'
  | 'connections'
  | 'pgbench'
  | 'pgbench-prepared'
  | 'pgbench-1'
  | 'rows'
  | 'idle';

/**
 * Which processors do the work. `apart`: proxies have one, load and servers together another. `together`: all have the same, so
 * that nobody wakes another across. `free`: the kernel puts them where it likes, as it does on a host that nobody has tuned.
 */
export type Placement = 'apart' | 'together' | 'free';

export interface Effort {
  /** Length of each run that is bounded by time. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly bulkBytes: number;
  readonly idleFlows: number;
  /** Of 100 columns each. */
  readonly rows: number;
  /** What Sluice's workers do in place of sleeping (`sluice daemon --busy-poll`), microseconds. */
  readonly busyPollUs: number;
  readonly placement: Placement;
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
  /** Another workload whose warm-up takes the same ways through a proxy and so serves for this one too. */
  readonly warmedBy: WorkloadName | null;
  run(world: BenchWorld, contender: RunningContender, effort: Effort, warmUp: boolean): Promise<Outcome>;
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
