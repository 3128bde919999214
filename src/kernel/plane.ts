/**
 * The kernel plane as the daemon drives it: load, configure, attach, and keep the enrolment tables.
 *
 * Order matters. Tables and configuration are complete before the first program is attached; a new set of
 * enrolment entries is complete before one write puts its generation in force. What is pinned stays when the
 * daemon goes: agents are then refused, never let through.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { release } from 'node:os';
import { errnoOf, SluiceError } from '../core/errors.ts';
import { addon, buildPaths, kernelError, logOf, type NativeMap, type NativeObject } from './addon.ts';
import { cgroupId } from './cgroup.ts';
import type { EnrolmentTables } from './enrolment.ts';
import type { FlowFacts } from './facts.ts';
import {
  decodeConfig,
  decodeDeniedKey,
  decodeExePath,
  decodeFlow,
  encodeConfig,
  encodeExeKey,
  encodeListenerSock,
  encodeU32,
  encodeU64,
  encodeUpstreamSock,
  type KernelConfig,
  layout,
  reasonNumbers,
  SLUICE_ABI,
} from './layout.ts';
import { Migration, type MigrationOptions, type Step } from './migrate/migration.ts';
import { pinnedConfig, type Stage, settleStage } from './migrate/stage.ts';
import { lackingError, missingIn } from './missing.ts';
import { encodeNamespace, type NamespaceState } from './namespace-layout.ts';
import {
  foreignPrograms,
  lsmStates,
  makePinDirectories,
  type ProgramState,
  pinPaths,
  programStates,
} from './pins.ts';
import { sweepTables, writeTables } from './table-writer.ts';
import { fullTable, type MapName, mapSizes, pinnedSizesByMap, sumOf, type TableSizes } from './tables.ts';
import { type Denials, techniqueOf } from './techniques.ts';

/** SLUICE_COUNTER_UNTAGGED of bpf/lib/maps.h: behind two for the rings and SLUICE_REASON_MAX for the reasons. */
const COUNTER_UNTAGGED = 2 + Object.keys(reasonNumbers).length + 1;
/** SLUICE_COUNTER_UNSORTED. */
const COUNTER_UNSORTED = COUNTER_UNTAGGED + 1;
/** SLUICE_COUNTER_UNPUBLISHED. */
const COUNTER_UNPUBLISHED = COUNTER_UNSORTED + 1;
const ONLY_ENTRY = encodeU32(0);
const LINK_END_MS = 2_000;

export interface PlaneOptions {
  readonly pinDirectory: string;
  /** Mount point of cgroup v2. */
  readonly cgroupRoot: string;
  readonly workerUid: number;
  readonly selfCgroupId: bigint;
  /** Sizes of tables that are to differ from the usual. */
  readonly tableSizes?: TableSizes;
  /** Of listeners an earlier daemon has handed over. */
  readonly mark?: bigint;
  /** Whom the kernel takes a process for that must be governed and is not known. */
  readonly unknownAgentId: number;
}

export interface PlaneCounters {
  readonly flowEventsLost: bigint;
  readonly denyEventsLost: bigint;
  /** Refusals in the kernel by reason, told or not. */
  readonly refused: Readonly<Record<string, bigint>>;
  /** Processes that could not be tagged because the table was full. */
  readonly untagged: bigint;
  /** Refusals that `denials()` had no room for: told by reason only. */
  readonly unsorted: bigint;
  /** Connections there was no room for on their way to a worker, and which failed. */
  readonly unpublished: bigint;
}

type StaleBefore = Readonly<Record<'connectionsNs' | 'datagramsNs', bigint>>;

export class KernelPlane {
  readonly #options: PlaneOptions;
  readonly #objects: { readonly object: NativeObject; readonly programs: readonly string[] }[] = [];
  readonly #maps = new Map<MapName, NativeMap>();
  readonly #mark: bigint;
  #config: KernelConfig;
  /** While programs of another ABI are replaced. */
  #migration: Migration | null = null;
  /** Whether programs of another ABI decide, and those of this one are to find nobody to be an agent. */
  #waits = false;
  #forwarderPort = 0;

  private constructor(options: PlaneOptions) {
    this.#options = options;
    this.#mark = options.mark ?? randomBytes(8).readBigUInt64LE();
    this.#config = {
      abi: SLUICE_ABI,
      generation: 0,
      hasUids: false,
      hasExes: false,
      workerUid: options.workerUid,
      mark: this.#mark,
      selfCgroup: options.selfCgroupId,
      rootCgroup: cgroupId(options.cgroupRoot),
      proxyPorts: [],
      unknownAgent: options.unknownAgentId,
      dnsPort: 0,
      daemonPid: process.pid,
      homeNetns: 0n,
      holdUntilNs: 0n,
    };
  }

  /**
   * Loads every object and opens the maps; attaches nothing yet.
   *
   * What is pinned may be of an older ABI: then `migrates`, and `migrate` has to be called before `attach`.
   *
   * @throws SluiceError ABI_MISMATCH when pins of another version are in force that this one cannot take over,
   *   ALREADY_RUNNING when another Sluice's programs are attached, KERNEL with the verifier's words when a program is
   *   refused.
   */
  static load(options: PlaneOptions): KernelPlane {
    const plane = new KernelPlane(options);
    try {
      const stage = settleStage(options.pinDirectory);
      makePinDirectories(options.pinDirectory);
      plane.#refuseForeign();
      plane.#beginMigration(stage);
      plane.#loadObjects();
      plane.#adoptPinned();
    } catch (error) {
      plane.close();
      throw error instanceof SluiceError ? error : kernelError('the kernel programs cannot be loaded', error);
    }
    return plane;
  }

  #refuseForeign(): void {
    const { pinDirectory, cgroupRoot } = this.#options;
    let foreign = foreignPrograms(pinDirectory, cgroupRoot);
    // The kernel lets go of a link some time after its last pin: of one that a killed daemon left, for one.
    for (const pause = new Int32Array(new SharedArrayBuffer(4)), until = Date.now() + LINK_END_MS; ; ) {
      if (foreign.length === 0 || Date.now() > until) break;
      Atomics.wait(pause, 0, 0, 20);
      foreign = foreignPrograms(pinDirectory, cgroupRoot);
    }
    if (foreign.length > 0)
      throw new SluiceError(
        'ALREADY_RUNNING',
        `another Sluice's programs are attached: ${foreign.join(', ')}`,
        {
          hint: 'stop that daemon and run its `sluice uninstall` (with its --pin-dir) first',
        },
      );
  }

  #loadObjects(): void {
    const files = readdirSync(buildPaths.objects).filter((name) => name.endsWith('.bpf.o'));
    if (files.length === 0)
      throw new SluiceError('KERNEL', 'the BPF objects are not built', { hint: 'npm run build' });
    const missing = new Set<string>();
    const { pinDirectory, tableSizes } = this.#options;
    const sizes = { ...pinnedSizesByMap(pinDirectory), ...mapSizes(pinDirectory, tableSizes ?? {}) };
    for (const file of files) {
      const object = new (addon().BpfObject)(`${buildPaths.objects}/${file}`, this.#mapPins);
      const programs = object.programs().map((program) => program.name);
      this.#objects.push({ object, programs });
      try {
        object.load(sizes);
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'EINVAL' && 'log' in error)
          this.#refuseOtherAbi(error);
        const lacking = missingIn(release(), errnoOf(error), logOf(error));
        if (lacking.length === 0) throw kernelError(`${file} cannot be loaded`, error);
        for (const feature of lacking) missing.add(feature);
      }
    }
    // All of them at once: whoever reads it has to find another kernel.
    if (missing.size > 0) throw lackingError(release(), [...missing]);
  }

  /** libbpf answers EINVAL when a pinned map has another shape than the object's: a version that has not told so. */
  #refuseOtherAbi(error: Error): void {
    if (logOf(error).includes('parameters mismatch'))
      throw new SluiceError('ABI_MISMATCH', 'pinned maps of another version of Sluice are in force', {
        hint: 'run `sluice uninstall` of that version (agents are ungoverned until this one has started)',
        cause: error,
      });
  }

  #map(name: MapName): NativeMap {
    let map = this.#maps.get(name);
    if (map === undefined) {
      map = new (addon().BpfMap)(`${this.#mapPins}/${name}`);
      this.#maps.set(name, map);
    }
    return map;
  }

  readonly #mapOf = (name: MapName): NativeMap => this.#map(name);

  get #mapPins(): string {
    return this.#migration?.maps ?? pinPaths(this.#options.pinDirectory).maps;
  }

  #beginMigration(stage: Stage): void {
    if (stage === 'same') return;
    const { pinDirectory } = this.#options;
    this.#waits = stage === 'begin';
    const generation = pinnedConfig(pinPaths(pinDirectory).maps)?.generation ?? 0;
    this.#config = { ...this.#config, generation };
    this.#migration = new Migration(pinDirectory, stage === 'resume');
  }

  /** Programs of another ABI are in force, or their state is not moved yet. */
  get migrates(): boolean {
    return this.#migration !== null;
  }

  /**
   * Puts the programs of this ABI in the place of the former ones, with what these know; after `setEnrolment`, and when
   * everything an agent's connection will meet is ready. See migrate/migration.ts.
   *
   * @param each told of every step before it is done
   * @throws SluiceError ABI_MISMATCH when the former state cannot be read: the former programs stay in force.
   */
  migrate(
    options: Pick<MigrationOptions, 'replaceLsm' | 'log'>,
    each: (step: Step) => void = () => undefined,
  ): void {
    const migration = this.#migration;
    if (migration === null) return;
    const steps = migration.steps(this.#objects, {
      ...options,
      cgroupRoot: this.#options.cgroupRoot,
      putInForce: () => {
        this.#waits = false;
        const { generation } = this.#config;
        // By the generation alone, and what is asked for with it is there by then.
        this.#writeConfig({ generation: 0 });
        this.#writeConfig({ generation });
      },
    });
    for (const step of steps) {
      each(step);
      step.run();
    }
    migration.close();
    this.#migration = null;
  }

  /** Goes on from what a former daemon left: its generation, and ids that never repeat. */
  #adoptPinned(): void {
    const bytes = this.#map('sluice_config').lookup(ONLY_ENTRY);
    if (bytes !== null && !this.#waits)
      this.#config = { ...this.#config, generation: decodeConfig(bytes).generation };
    const start = BigInt(Math.floor(Date.now() / 1000)) << 32n;
    if (this.nextFlowId() === 0n) this.#map('sluice_seq').update(ONLY_ENTRY, encodeU64(start));
  }

  /** The id the next flow is given; ids only grow. */
  nextFlowId(): bigint {
    return this.#map('sluice_seq').lookup(ONLY_ENTRY)?.readBigUInt64LE() ?? 0n;
  }

  #writeConfig(change: Partial<KernelConfig>): void {
    this.#config = { ...this.#config, ...change };
    const nobody = { generation: 0, hasUids: false, hasExes: false, unknownAgent: 0 };
    const config = this.#waits ? { ...this.#config, ...nobody } : this.#config;
    this.#map('sluice_config').update(ONLY_ENTRY, encodeConfig(config));
  }

  /**
   * Opens a listener no agent can be sent to yet: the mark makes it the daemon's, `setProxyPorts` puts it in force.
   *
   * @param netns descriptor of another network namespace to listen in
   */
  listen(
    ip: string,
    port: number,
    backlog: number,
    netns?: number,
  ): { readonly fd: number; readonly port: number } {
    const listener = addon().listenTcp(ip, port, backlog, netns);
    this.#map('sluice_socks').update(encodeU32(listener.fd), encodeListenerSock(this.#mark));
    return listener;
  }

  /** The same for datagrams: the socket of the forwarder, which nobody else can bind beside. */
  listenUdp(ip: string, port: number, netns?: number): { readonly fd: number; readonly port: number } {
    const socket = addon().listenUdp(ip, port, netns);
    this.#map('sluice_socks').update(encodeU32(socket.fd), encodeListenerSock(this.#mark));
    return socket;
  }

  /** Unconnected TCP sockets in another network namespace, for workers to reach servers from there. */
  upstreamSockets(netns: number, family: 4 | 6, count: number): number[] {
    const fds = addon().socketsIn(netns, family, count);
    for (const fd of fds) this.#map('sluice_socks').update(encodeU32(fd), encodeUpstreamSock());
    return fds;
  }

  /**
   * From now on the kernel asks for a listener in each other network namespace it sees an agent in, and holds the
   * connections that would need it: for as long as this process lives.
   */
  serveNamespaces(home: bigint): void {
    for (const key of this.#map('sluice_netns').keys()) this.#map('sluice_netns').delete(key);
    this.#writeConfig({ homeNetns: home });
  }

  get mark(): bigint {
    return this.#mark;
  }

  /** This process may end, and agents may go on connecting to its listeners, until then (CLOCK_BOOTTIME). */
  holdUntil(holdUntilNs: bigint): void {
    this.#writeConfig({ holdUntilNs });
  }

  setNamespace(cookie: bigint, state: NamespaceState, quietUntilNs: bigint): void {
    this.#map('sluice_netns').update(encodeU64(cookie), encodeNamespace(state, quietUntilNs));
  }

  forgetNamespace(cookie: bigint): void {
    this.#map('sluice_netns').delete(encodeU64(cookie));
  }

  /** Processes that are agents and have a tag, by pid. */
  taggedPids(): number[] {
    return this.#map('sluice_tags')
      .keys()
      .map((key) => key.readUInt32LE());
  }

  /** Agents' connections go to all of them in turn: each must have a listener. */
  setProxyPorts(ports: readonly number[]): void {
    this.#writeConfig({ proxyPorts: ports });
  }

  /** Where agents' DNS goes, UDP and TCP, from the next `setEnrolment` with DNS on. */
  setForwarderPort(port: number): void {
    this.#forwarderPort = port;
  }

  /**
   * Puts a new set of agents in force, all at once, and whether they have DNS.
   *
   * @throws SluiceError POLICY when it does not fit the tables beside the set in force, which then stays.
   */
  setEnrolment(tables: EnrolmentTables): void {
    const generation = (this.#config.generation + 1) >>> 0 || 1;
    // What an interrupted attempt may have left under this number.
    sweepTables(this.#mapOf, (entry) => entry === generation);
    try {
      writeTables(this.#mapOf, generation, tables);
    } catch (error) {
      sweepTables(this.#mapOf, (entry) => entry === generation);
      throw fullTable(error) ?? error;
    }
    const has = { hasUids: tables.uids.length > 0, hasExes: tables.exes.length > 0 };
    // A program may read the one field before a write and the other behind it: what either generation has is
    // looked for while they change places.
    const { hasUids, hasExes } = this.#config;
    this.#writeConfig({ hasUids: has.hasUids || hasUids, hasExes: has.hasExes || hasExes });
    this.#writeConfig({ generation });
    this.#writeConfig({ ...has, dnsPort: tables.dns ? this.#forwarderPort : 0 });
    sweepTables(this.#mapOf, (entry) => entry !== generation);
    this.#releaseFormer(tables);
  }

  /** Processes of agents that are no more are found anew, by where and what they are. */
  #releaseFormer(tables: EnrolmentTables): void {
    const agents = new Set([...tables.cgroups, ...tables.exes, ...tables.uids].map(({ agentId }) => agentId));
    const tags = this.#map('sluice_tags');
    for (const key of tags.keys()) {
      const agent = tags.lookup(key)?.readUInt32LE(layout.sluice_tag.fields.agent);
      if (agent !== undefined && !agents.has(agent)) tags.delete(key);
    }
  }

  /**
   * Takes the tag off this process, which may have been started by an agent: its workers must not be agents.
   *
   * @throws SluiceError KERNEL when it was, and there was no room for its tag: that mark goes with the process only.
   */
  untagSelf(): void {
    this.#map('sluice_tags').delete(encodeU32(process.pid));
    this.#migration?.untag(process.pid);
    const word =
      this.#map('sluice_untagged')
        .lookup(encodeU32(process.pid >>> 6))
        ?.readBigUInt64LE() ?? 0n;
    if (((word >> BigInt(process.pid & 63)) & 1n) === 1n)
      throw new SluiceError(
        'KERNEL',
        'the daemon was started by an agent when the table of processes was full',
        {
          hint: 'start it from outside of all agents',
        },
      );
  }

  /** Attaches at the root of the hierarchy, or swaps the program of a pinned link in one step. */
  attach(): void {
    for (const { object, programs } of this.#objects)
      for (const program of programs)
        try {
          object.attach(
            program,
            this.#options.cgroupRoot,
            pinPaths(this.#options.pinDirectory).link(program),
          );
        } catch (error) {
          throw kernelError(`${program} cannot be attached`, error);
        }
  }

  /** Which programs are effective at `cgroup` (default: the root). */
  programs(cgroup: string = this.#options.cgroupRoot): ProgramState[] {
    return programStates(this.#options.pinDirectory, cgroup);
  }

  /** Those of the BPF LSM that are attached. */
  lsmPrograms(): ProgramState[] {
    return lsmStates(this.#options.pinDirectory);
  }

  /** Path of an executable agents have run, as the kernel remembers it. */
  exePath(dev: number, inode: bigint): string | null {
    const bytes = this.#map('sluice_exe_paths').lookup(encodeExeKey(inode, dev, 0));
    return bytes === null ? null : decodeExePath(bytes);
  }

  /** Path of a cgroup below the root, as it was when an agent was in it. */
  cgroupPath(id: bigint): string | null {
    const bytes = this.#map('sluice_cgroup_paths').lookup(encodeU64(id));
    return bytes === null ? null : decodeExePath(bytes);
  }

  /**
   * Flows that wait since before a CLOCK_BOOTTIME: connections under their tuple, DNS datagrams under their ticket.
   * Those that are over are taken out; the others are given, and stay: who looks after them might be killed.
   */
  takeStale(before: StaleBefore, isOver: (facts: FlowFacts) => boolean): FlowFacts[] {
    const stale: FlowFacts[] = [];
    for (const name of ['sluice_tuples', 'sluice_datagrams'] as const) {
      const beforeNs = name === 'sluice_tuples' ? before.connectionsNs : before.datagramsNs;
      const table = this.#map(name);
      for (const key of table.keys()) {
        const value = table.lookup(key);
        const facts = value && decodeFlow(value);
        if (!facts || facts.startNs >= beforeNs) continue;
        if (!isOver(facts)) stale.push(facts);
        else table.delete(key);
      }
    }
    return stale;
  }

  counters(): PlaneCounters {
    const read = (index: number): bigint => sumOf(this.#map('sluice_counters').lookup(encodeU32(index)));
    const refused: Record<string, bigint> = {};
    for (const [reason, number] of Object.entries(reasonNumbers)) refused[reason] = read(2 + number);
    return {
      flowEventsLost: read(0),
      denyEventsLost: read(1),
      refused,
      untagged: read(COUNTER_UNTAGGED),
      unsorted: read(COUNTER_UNSORTED),
      unpublished: read(COUNTER_UNPUBLISHED),
    };
  }

  /** Every refusal there was, by agent and technique. */
  denials(): Denials[] {
    const counts = this.#map('sluice_denied');
    return counts.keys().map((key) => {
      const { agentId, technique } = decodeDeniedKey(key);
      return { agentId, technique: techniqueOf(technique), count: sumOf(counts.lookup(key)) };
    });
  }

  /** Lets go of the objects and maps; what is pinned stays in force. */
  close(): void {
    this.#migration?.close();
    for (const map of this.#maps.values()) map.close();
    this.#maps.clear();
    for (const { object } of this.#objects) object.close();
    this.#objects.length = 0;
  }
}
