/**
 * The daemon: composes the rooms and owns their order. Privileged and small: it loads, enrols, attests, keeps
 * policy, ledger and store, and serves the API. It never reads a byte an agent or a server sent.
 *
 * Coming up, nothing is in force until everything behind it is ready; going down, enforcement stays.
 */
import { join } from 'node:path';
import { apiSocketPath } from '../api/paths.ts';
import { systemClock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { FlowRecord } from '../flow/record.ts';
import { Ledger } from '../flowlog/ledger.ts';
import { NdjsonLog } from '../flowlog/ndjson.ts';
import { lineOf, RecordLines } from '../flowlog/record-line.ts';
import { Attestor } from '../identity/attest.ts';
import { BootClock } from '../identity/boot-clock.ts';
import { cgroupId, moveSelf, requireCgroup2, sluiceCgroups } from '../kernel/cgroup.ts';
import { EventRings } from '../kernel/event-rings.ts';
import type { KernelEvent } from '../kernel/events.ts';
import { LsmLayer } from '../kernel/lsm.ts';
import { homeNamespace } from '../kernel/namespace.ts';
import { KernelPlane } from '../kernel/plane.ts';
import { Processes } from '../kernel/processes.ts';
import { NamespaceRing } from '../kernel/ring.ts';
import { agentId } from '../policy/agent-id.ts';
import { dnsPolicy } from '../policy/dns-names.ts';
import { FlowStore } from '../store/flow-store.ts';
import { listAgents } from './agents.ts';
import { closedSocketOf } from './closed-sockets.ts';
import type { Enroller } from './enrol.ts';
import { type AgentTables, enrolmentTables } from './enrolment.ts';
import { ExeWatch } from './exe-watch.ts';
import { ForwarderProcess, type ForwarderState } from './forwarder-process.ts';
import type { Handover } from './handover.ts';
import { HeldExecutables } from './held-executables.ts';
import { Holds } from './holds.ts';
import type { DnsSockets, Listeners } from './listeners.ts';
import type { Namespaces } from './namespaces.ts';
import { type DaemonOptions, reservedAgents } from './options.ts';
import * as overKernel from './over-kernel.ts';
import { PolicyKeeper } from './policy-keeper.ts';
import { dnsPolicyOf, resolversOf } from './resolvers.ts';
import { Runs } from './runs.ts';
import { ownPlace } from './self.ts';
import { selfTest, tryLsm } from './self-test.ts';
import { endStale } from './stale.ts';
import { TierKeeper } from './tier.ts';
import { findUser } from './user.ts';
import { WorkerPool } from './worker-pool.ts';

const TICK_MS = 100;
const SELF_TEST_INTERVAL_MS = 60_000;
/** Upgraded executables are found again, and stale tuples taken out, this often. */
const UPKEEP_INTERVAL_MS = 10_000;
/** An ended container is let go of within this time. */
const NAMESPACES_INTERVAL_MS = 500;
/** The store's size on disk, and how long records are kept. */
const RETENTION = { maxRows: 1_000_000, maxBytes: 2 ** 30, maxAgeMs: 30 * 24 * 3_600_000 } as const;
/** For so long agents may connect without a daemon, between two of them: as long as workers wait to be adopted. */
const HOLD_NS = 120_000_000_000n;
/** Records may wait this long for their attestation when the daemon stops. */
const SETTLE_MS = 2_000;

const canaryId = agentId(reservedAgents.canary);

export interface SelfTestState {
  readonly at: string;
  readonly ok: boolean;
  readonly detail: string;
}

export class Daemon {
  readonly options: DaemonOptions;
  readonly startedAt = new Date();
  readonly plane: KernelPlane;
  readonly processes: Processes;
  readonly enroller: Enroller;
  readonly policies: PolicyKeeper;
  readonly holds = new Holds(
    (key, message) => this.#pool?.send(key, message),
    (line) => this.note(line),
    (flow) => this.ledger.agentOf(flow),
  );
  readonly runs: Runs;
  readonly ledger: Ledger;
  readonly store: FlowStore;
  readonly listeners: Listeners;
  readonly #dnsSockets: DnsSockets;
  /** The daemon's own network namespace. */
  readonly home = homeNamespace();
  readonly namespaces: Namespaces;
  readonly tier: TierKeeper;
  readonly #attestor: Attestor;
  readonly #lines = new RecordLines();
  readonly #ndjson: NdjsonLog | null;
  readonly #log: (message: string) => void;
  readonly #cgroupRoot: string;
  readonly #bootClock = new BootClock();
  readonly #followers = new Set<(record: FlowRecord) => void>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #user: { readonly uid: number; readonly gid: number };
  readonly #exeWatch = new ExeWatch(() => void this.#refresh());
  readonly #heldExecutables = new HeldExecutables();
  readonly #former: Handover | null;
  readonly #listeningSinceNs: bigint;
  #pool: WorkerPool | null = null;
  #forwarder: ForwarderProcess | null = null;
  /** Last read from the host, where policy names none. */
  #resolvers: readonly string[] = [];
  #events: EventRings | null = null;
  #namespaceRing: NamespaceRing | null = null;
  #selfTest: SelfTestState | null = null;

  /** Prepares everything that can fail without consequence: nothing is attached yet. */
  constructor(options: DaemonOptions, log: (message: string) => void, former: Handover | null) {
    this.options = options;
    this.#former = former;
    this.#listeningSinceNs = former?.listeningSinceNs ?? this.#bootClock.nowNs();
    this.#log = log;
    this.#user = findUser(options.workerUser);
    this.#cgroupRoot = requireCgroup2();
    this.tier = new TierKeeper(new LsmLayer(options.pinDirectory));
    const selfCgroup = ownPlace();
    this.policies = new PolicyKeeper(options.policyPath, {
      admit: (policy) => this.tier.demand(policy),
      tables: (policy) =>
        enrolmentTables(policy, {
          selfCgroup,
          workerUid: this.#user.uid,
          apiSocket: apiSocketPath(options.runtimeDirectory),
          canarySocket: this.#canarySocket,
        }),
      toWorkers: async (policy) => {
        await Promise.all([this.#pool?.setPolicy(policy), this.#forwarder?.setPolicy(dnsPolicyOf(policy))]);
      },
      toKernel: (tables) => this.#enrol(tables),
      onWarning: (text) => log(`warning: ${text}`),
    });
    if (selfCgroup === sluiceCgroups.daemon) moveSelf(`${this.#cgroupRoot}${selfCgroup}`);
    this.plane = KernelPlane.load({
      pinDirectory: options.pinDirectory,
      cgroupRoot: this.#cgroupRoot,
      workerUid: this.#user.uid,
      selfCgroupId: cgroupId(`${this.#cgroupRoot}${selfCgroup}`),
      unknownAgentId: agentId(reservedAgents.unknown),
      tableSizes: options.tableSizes,
      ...(former === null ? {} : { mark: former.mark }),
    });
    this.processes = new Processes(options.pinDirectory);
    this.enroller = overKernel.enrollerOver(this.processes, {
      nowNs: () => this.#bootClock.nowNs(),
      agentId: (name) => this.policies.policy.agents.find((agent) => agent.name === name)?.id ?? null,
      agentName: (id) => this.#anyAgentName(id),
      cgroupRoot: this.#cgroupRoot,
      selfCgroupId: cgroupId(`${this.#cgroupRoot}${selfCgroup}`),
    });
    this.runs = new Runs(this.#cgroupRoot);
    this.store = FlowStore.open(`${options.stateDirectory}/flows.db`, RETENTION, {
      onSettled: (id, json) => this.#settled(id, json),
    });
    this.#ndjson = options.logFlows ? new NdjsonLog(1) : null;
    this.#attestor = new Attestor({
      cgroupRoot: this.#cgroupRoot,
      policy: () => this.policies.policy,
      exePathHint: (dev, inode) => this.plane.exePath(dev, inode),
      cgroupPathHint: (id) => this.plane.cgroupPath(id),
      bootClock: this.#bootClock,
    });
    this.ledger = new Ledger({
      clock: systemClock,
      attest: (facts) => this.#attestor.attest(facts),
      emit: (record) => this.#emit(record),
      alreadyRecorded: (id) => this.store.has(id),
      startedNs: this.#bootClock.nowNs(),
      listeningSinceNs: this.#listeningSinceNs,
      catchUp: () => this.#events?.drain(),
      nextId: () => this.plane.nextFlowId(),
      timeOf: (bootNs) => this.#bootClock.rfc3339(bootNs),
      nowNs: () => this.#bootClock.nowNs(),
      toldUntilMs: () => this.#pool?.toldUntilMs() ?? Infinity,
      agentName: (id) => this.policies.agentName(id),
      inboundRule: (id) => this.policies.policy.inbound.find((rule) => rule.id === id)?.name ?? null,
      policyRevision: () => this.policies.policy.revision,
      closedSocket: (id) => closedSocketOf(this.policies.policy, id),
      tier: () => this.tier.state.tier,
      ignoredAgent: canaryId,
    });
    const { listeners, dnsSockets } = overKernel.listenersOver(this.plane, options, former);
    this.listeners = listeners;
    this.#dnsSockets = dnsSockets;
    this.namespaces = overKernel.namespacesOver(this.plane, {
      home: this.home,
      workers: options.workers,
      ports: this.listeners.ports,
      dnsPort: this.#dnsSockets.port,
      toWorker: (worker, message, fds) => this.#pool?.sendDescriptors(worker, message, fds),
      toForwarder: (message, fds) => this.#forwarder?.sendDescriptors(message, fds),
      nowNs: () => this.#bootClock.nowNs(),
      log,
    });
  }

  /** Brings workers up, then puts enforcement in force, then tests it. */
  async start(): Promise<void> {
    this.plane.untagSelf();
    this.runs.sweep();
    this.ledger.adopt(this.#former?.openFlows ?? []);
    const ports = overKernel.portsOf(this.listeners, this.#dnsSockets, this.home.cookie);
    overKernel.migrateOver(this.plane, this.policies.tables, ports, this.tier, this.#log);
    this.#pool = await WorkerPool.start({
      listeners: this.listeners.byWorker,
      user: this.#user,
      maxFlows: this.options.maxFlows,
      busyPollUs: this.options.busyPollUs,
      drainTimeoutMs: this.options.drainTimeoutMs,
      handedOver: this.#former?.workers ?? [],
      policy: this.policies.policy,
      onFlows: (flows, worker) => this.ledger.workerReports(flows, worker),
      onDeath: (worker, how) => {
        this.ledger.workerDied(worker);
        this.#log(`worker ${worker} died: ${how}`);
      },
      holds: this.holds,
      onNameQuestion: (key, question) => this.#forwarder?.ask(key, question),
      onReady: (worker) => this.namespaces.workerReady(worker),
      onSockets: (worker, claim, reply) => this.namespaces.socketsFor(worker, claim, reply),
    });
    this.#forwarder = await ForwarderProcess.start({
      ...this.#dnsSockets,
      user: this.#user,
      policy: dnsPolicyOf(this.policies.policy),
      onFlows: (flows) => this.ledger.workerReports(flows, null),
      onNameAnswer: (key, answer) => this.#pool?.answerName(key, answer),
      onDeath: (how) => this.#log(`the DNS forwarder died (${how}); starting another`),
      onReady: () => this.namespaces.forwarderReady(),
    });
    overKernel.openPorts(this.plane, ports);
    this.namespaces.adopt(this.#former?.namespaces ?? []);
    this.#enrol(this.policies.tables);
    await this.#raiseTier();
    this.plane.attach();
    // Whether the event has to stay in its ring, for the next daemon, because no record has come of it yet.
    const onEvent = (event: KernelEvent): boolean => {
      this.ledger.kernelEvent(event);
      return this.ledger.isEnding(event.id) || this.store.isUnsettled(event.id);
    };
    const { pinDirectory } = this.options;
    this.#events = new EventRings(pinDirectory, onEvent);
    this.#namespaceRing = new NamespaceRing(pinDirectory, (event) => this.namespaces.wanted(event));
    this.#resolvers = resolversOf(this.policies.policy);
    this.#endStale();
    this.#every(NAMESPACES_INTERVAL_MS, () => this.namespaces.tick());
    this.#every(TICK_MS, () => {
      this.ledger.tick();
      this.#events?.release();
    });
    this.#every(UPKEEP_INTERVAL_MS, () => void this.#upkeep());
    this.#every(SELF_TEST_INTERVAL_MS, () => void this.selfTest());
    await this.selfTest();
  }

  #every(intervalMs: number, work: () => void): void {
    this.#timers.push(setInterval(work, intervalMs));
  }

  async #upkeep(): Promise<void> {
    try {
      this.#endStale();
      await this.#refreshResolvers();
    } catch (error) {
      this.#log(`upkeep: ${messageOf(error)}`);
    }
    await this.#refresh();
  }

  #endStale(): void {
    endStale(this.#bootClock.nowNs(), {
      takeStale: (before, isOver) => this.plane.takeStale(before, isOver),
      isOver: ({ id, agentId: agent }) =>
        agent === canaryId || this.ledger.hasEnded(id) || this.store.has(id),
      tell: (event) => this.ledger.kernelEvent(event),
    });
  }

  /** The socket of the API is there now, and closed to agents: from here on it is known by its inode. */
  async apiListens(): Promise<void> {
    await this.#refresh(() => undefined);
  }

  /** Finds executables and closed sockets again that were replaced. */
  async #refresh(
    onChange = (): void => this.#log('an executable or a closed socket was replaced'),
  ): Promise<void> {
    try {
      if (await this.policies.refresh()) onChange();
    } catch (error) {
      this.#log(`looking for executables and sockets: ${messageOf(error)}`);
    }
  }

  /** Policy may demand the third layer: then nothing is put in force without it. */
  async #raiseTier(): Promise<void> {
    const { tier, reason } = await this.tier.raise(() => tryLsm(this.#cgroupRoot, this.#canarySocket));
    this.#log(reason === null ? `tier ${tier}` : `tier ${tier}: ${reason}`);
    this.tier.demand(this.policies.policy);
  }

  get #canarySocket(): string {
    return join(this.options.runtimeDirectory, 'canary.sock');
  }

  #anyAgentName(id: number): string | null {
    const reserved = Object.values(reservedAgents).find((name) => agentId(name) === id);
    return reserved ?? this.policies.agentName(id);
  }

  /** Who is an agent now, the first `limit` of them. */
  agents(limit: number): ReturnType<typeof listAgents> {
    return listAgents(
      {
        processes: () => this.processes.list(),
        sockets: () => this.processes.sockets(),
        agentName: (id) => this.#anyAgentName(id),
        rfc3339: (bootNs) => this.#bootClock.rfc3339(bootNs),
        openFlows: () => this.ledger.openByPid(),
      },
      limit,
    );
  }

  #tagRunning(): void {
    try {
      const late = this.processes.list().filter(({ tag }) => tag?.wasRunning === true && !tag.inherited);
      if (late.length > 0)
        this.#log(
          `${late.length} processes ran before policy named them; sluice agents shows what they have open`,
        );
    } catch (error) {
      this.#log(
        `warning: processes that run already are found by their next socket only: ${messageOf(error)}`,
      );
    }
  }

  /** Puts tables in force, tags what runs already, and says what that leaves open. */
  #enrol(tables: AgentTables): void {
    this.plane.setEnrolment(tables);
    const isCurrent = this.#heldExecutables.hold(tables.exePaths, tables.exes);
    this.#tagRunning();
    this.namespaces.search();
    this.#exeWatch.set([...tables.exePaths, ...tables.socketPaths]);
    for (const doubt of tables.doubts) this.#log(`warning: ${doubt}`);
    if (!isCurrent) void this.#refresh();
  }

  /** Where policy names none they are the host's, which change as it moves between networks. */
  async #refreshResolvers(): Promise<void> {
    const { policy } = this.policies;
    const found = resolversOf(policy);
    if (policy.resolvers !== null || found.join() === this.#resolvers.join()) return;
    this.#resolvers = found;
    await this.#forwarder?.setPolicy(dnsPolicy(policy, found));
    this.#log(`resolvers are now ${found.join(', ') || 'none'}`);
  }

  #emit(record: FlowRecord): void {
    this.store.append(record, this.#lines.jsonOf(record));
    for (const follower of this.#followers) follower(record);
  }

  /** Told to the log when it is certain: a record that a kill took away is made again, and would be told twice. */
  #settled(id: string, json: string): void {
    this.#ndjson?.write(lineOf(json));
    this.#events?.settled(id);
  }

  /** Makes the cgroup of a run, and remembers it: the run may be over before anybody looks it up. */
  createRun(name: string): { readonly directory: string; readonly path: string } {
    const directory = this.runs.create(name);
    const path = directory.slice(this.#cgroupRoot.length);
    this.#attestor.cgroups.remember(cgroupId(directory), path);
    return { directory, path };
  }

  /** A line for whoever reads the daemon's own log. */
  note(message: string): void {
    this.#log(message);
  }

  onFlow(listener: (record: FlowRecord) => void): () => void {
    this.#followers.add(listener);
    return () => this.#followers.delete(listener);
  }

  async selfTest(): Promise<SelfTestState> {
    const agentCgroups = this.policies.tables.cgroups.map(({ path }) => path);
    const tested = await selfTest({
      cgroupRoot: this.#cgroupRoot,
      agentCgroups,
      programs: (cgroup) => this.plane.programs(cgroup),
      closedSocket: this.#canarySocket,
    });
    const former = this.tier.state.tier;
    const { tier, reason } = this.tier.measured(tested.openToLsm);
    if (tier !== former)
      this.#log(`tier ${tier}, no longer ${former}: ${reason ?? 'as the self-test found'}`);
    const short = this.tier.shortOf(this.policies.policy);
    const result = short === null ? tested : { ok: false, detail: short };
    if (!result.ok) this.#log(`NOT ENFORCING as it should: ${result.detail}`);
    this.#selfTest = { at: new Date().toISOString(), ok: result.ok, detail: result.detail };
    return this.#selfTest;
  }

  get lastSelfTest(): SelfTestState | null {
    return this.#selfTest;
  }

  workers(): ReturnType<WorkerPool['states']> {
    return this.#pool?.states() ?? [];
  }

  draining(): ReturnType<WorkerPool['draining']> {
    return this.#pool?.draining() ?? [];
  }

  /** Replaces the workers, one after the other. @throws SluiceError API */
  async restartWorkers(): Promise<void> {
    await this.#pool?.restart();
  }

  forwarder(): ForwarderState | null {
    return this.#forwarder?.state() ?? null;
  }

  ringCounts(): ReturnType<EventRings['counts']> {
    return this.#events?.counts() ?? { flow: 0, deny: 0, forced: 0 };
  }

  attestationCounters(): ReturnType<Attestor['counters']> {
    return this.#attestor.counters();
  }

  /** Lines the reader of standard output was too slow for. */
  flowLogDropped(): number {
    return this.#ndjson?.health().droppedLines ?? 0;
  }

  /**
   * Ends, and gives what the next daemon needs to go on.
   *
   * @param outlive whether this process will have ended before the next daemon is there
   */
  async handOver(outlive: boolean): Promise<Handover> {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
    this.#exeWatch.close();
    this.plane.holdUntil(this.#bootClock.nowNs() + HOLD_NS);
    const workers = (await this.#pool?.handOver(outlive)) ?? [];
    await this.#forwarder?.stop();
    this.#namespaceRing?.close();
    this.#events?.drain();
    await Promise.race([this.ledger.settled(), new Promise((resolve) => setTimeout(resolve, SETTLE_MS))]);
    this.ledger.flush();
    const handover: Handover = {
      mark: this.plane.mark,
      listeningSinceNs: this.#listeningSinceNs,
      listeners: this.listeners,
      dnsSockets: this.#dnsSockets,
      namespaces: this.namespaces.handOver(),
      workers,
      openFlows: this.ledger.openFlows(),
    };
    this.#close();
    return handover;
  }

  /** Ends flows in order, records them, and leaves enforcement in force. */
  async stop(): Promise<void> {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
    this.#exeWatch.close();
    this.#namespaceRing?.close();
    await Promise.all([this.#pool?.stop(), this.#forwarder?.stop()]);
    this.namespaces.close();
    this.#events?.drain();
    await Promise.race([this.ledger.settled(), new Promise((resolve) => setTimeout(resolve, SETTLE_MS))]);
    this.ledger.finish();
    this.#close();
  }

  #close(): void {
    this.store.close();
    this.#events?.release();
    this.#events?.close();
    this.#ndjson?.close();
    this.processes.close();
    this.plane.close();
    this.#heldExecutables.close();
  }
}
