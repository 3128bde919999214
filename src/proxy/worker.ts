/**
 * A worker: accepts the connections of its listeners, makes each a session, and tells the daemon how it ended.
 *
 * It holds no privilege and no key but those of client certificates policy gives it. All it learns about who
 * connects comes from `readFlow`, which the kernel answers; a connection the kernel knows nothing of is
 * reset before a byte of it is read. Each accepted connection yields exactly one report.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { monotonicMs, systemClock } from '../core/clock.ts';
import type { Reason, WorkerFlowReport } from '../flow/record.ts';
import { duplicateFd } from '../kernel/descriptors.ts';
import type { KernelFlow } from '../kernel/facts.ts';
import { MaskEngine } from '../mask/engine.ts';
import { preparePolicy } from '../policy/decide.ts';
import type { CompiledPolicy } from '../policy/types.ts';
import { busyPoll } from './busy-poll.ts';
import { CancelDesk } from './cancel-desk.ts';
import { CancelKeys, FlowCancels } from './cancel-keys.ts';
import { Doors } from './doors.ts';
import { maxFlows, readLimits } from './flow-limit.ts';
import { describeDefect, FlowDraft } from './flow-report.ts';
import { HoldDesk } from './hold-desk.ts';
import type { DaemonMessage, InitMessage, ListenerHandle, WorkerMessage } from './ipc.ts';
import { Catalogs } from './masking.ts';
import { NameDesk } from './name-desk.ts';
import type { NamespaceMessage } from './namespace-line.ts';
import { ReportBatch } from './report-batch.ts';
import { resetSocket } from './reset.ts';
import { type PolicyInForce, Session } from './session.ts';
import { fdOf } from './socket-fd.ts';
import { SocketPool } from './socket-pool.ts';
import { systemCa, TlsContexts } from './tls-context.ts';
import { HIGH_WATER_MARK_BYTES } from './upstream.ts';

/** Connections the kernel may hold for a worker that is busy; it takes the lesser of this and somaxconn. */
const BACKLOG = 4096;
const STATS_INTERVAL_MS = 1_000;
/** After `stop`, flows may finish for this long before they are cut. */
const STOP_GRACE_MS = 5_000;
/** Flows that are just being opened may need the daemon; a server that is well answers in less. */
export const SETTLE_MS = 1_000;
/** A daemon that is started anew is there in a few seconds, on an emulated machine in half a minute. */
const ADOPTION_TIMEOUT_MS = 120_000;

export interface WorkerDependencies {
  /** Calls `onSent` when the message has left this process. */
  readonly send: (message: WorkerMessage, onSent?: () => void) => void;
  readonly readFlow: (fd: number) => KernelFlow | null;
  readonly closeFd: (fd: number) => void;
  readonly clock?: Clock;
  /** PEM of the CAs trusted where policy names none. */
  readonly systemCa?: () => string;
  /** Text of /proc/self/limits. */
  readonly limits?: () => string;
  /** Makes a server listen where the daemon says; a test without inherited descriptors listens elsewhere. */
  readonly listen?: (server: Server, fd: number) => void;
  readonly duplicateFd?: (fd: number) => number;
}

interface Unsaid {
  readonly message: WorkerMessage;
  readonly onSent: (() => void) | undefined;
}

/** Another network namespace with agents in it. */
interface Elsewhere {
  readonly cookie: bigint;
  /** Each closes a listener. */
  readonly listeners: (() => void)[];
  readonly sockets: SocketPool;
}

export class Worker {
  readonly #sendNow: WorkerDependencies['send'];
  readonly #readFlow: WorkerDependencies['readFlow'];
  readonly #closeFd: WorkerDependencies['closeFd'];
  readonly #clock: Clock;
  readonly #systemCa: () => string;
  readonly #limits: () => string;
  readonly #doors: Doors;
  readonly #reports: ReportBatch;
  readonly #names: NameDesk;
  readonly #cancelKeys = new CancelKeys();
  readonly #cancelDesk: CancelDesk;
  readonly #holds: HoldDesk;
  readonly #sessions = new Set<Session>();
  /** Each closes one. */
  readonly #listeners: (() => void)[] = [];
  readonly #elsewhere = new Map<bigint, Elsewhere>();
  #policy: PolicyInForce | null = null;
  /** All policies that have come so far. */
  #applied: Promise<void> = Promise.resolve();
  /** Listeners elsewhere that came before the first policy was there. */
  #early: (() => void)[] = [];
  /** It takes no more connections. */
  #leaves = false;
  #number = 0;
  #maxFlows = 0;
  #stats: NodeJS.Timeout | null = null;
  #accepted = 0;
  #refused = 0;
  /** Told whenever a flow was opened or has ended. */
  readonly #watchers = new Set<() => void>();
  /** What is to be said when there is a daemon again; null: there is one. */
  #held: Unsaid[] | null = null;
  #adopted: (() => void) | null = null;
  #drainTimer: NodeJS.Timeout | null = null;

  constructor(dependencies: WorkerDependencies) {
    this.#sendNow = dependencies.send;
    this.#readFlow = dependencies.readFlow;
    this.#closeFd = dependencies.closeFd;
    this.#clock = dependencies.clock ?? systemClock;
    this.#systemCa = dependencies.systemCa ?? systemCa;
    this.#limits = dependencies.limits ?? readLimits;
    this.#doors = new Doors({
      listen: dependencies.listen ?? ((server, fd) => server.listen({ fd }, BACKLOG)),
      duplicate: dependencies.duplicateFd ?? duplicateFd,
      closeFd: dependencies.closeFd,
    });
    this.#reports = new ReportBatch((flows) => this.#send({ type: 'flows', flows }));
    this.#names = new NameDesk((question) => this.#send(question));
    this.#cancelDesk = new CancelDesk(this.#cancelKeys, this.#clock, (message) => this.#send(message));
    this.#holds = new HoldDesk((message, onSent) => this.#send(message, onSent));
  }

  /** Resolves when the message has taken effect; for `stop`, when the last flow has been reported. */
  async handle(message: DaemonMessage): Promise<void> {
    switch (message.type) {
      case 'init':
        await this.#init(message);
        break;
      case 'policy':
        await this.#apply(message.policy);
        this.#send({ type: 'policy-applied', revision: message.policy.revision });
        break;
      case 'name':
        this.#names.answered(message);
        break;
      case 'cancel':
        this.#cancelDesk.asked(message);
        break;
      case 'cancel-found':
        this.#cancelDesk.answered(message);
        break;
      case 'hold-answer':
        this.#holds.answered(message);
        break;
      case 'retire':
        await this.#retire(message.graceMs, message.daemonStays);
        break;
      case 'adopted':
        this.#adopted?.();
        break;
      case 'cut':
        this.#cutDrained();
        break;
      case 'stop':
        await this.stop();
        break;
    }
  }

  #send(message: WorkerMessage, onSent?: () => void): void {
    if (this.#held === null) this.#sendNow(message, onSent);
    else if (message.type !== 'stats') this.#held.push({ message, onSent });
  }

  get openFlows(): number {
    return this.#sessions.size;
  }

  async #init(message: InitMessage): Promise<void> {
    this.#number = message.worker;
    this.#maxFlows = maxFlows(message.maxFlows, this.#limits());
    busyPoll.set(message.busyPollUs);
    await this.#apply(message.policy);
    if (this.#leaves) return;
    for (const admit of this.#early.splice(0)) admit();
    this.#stats = setInterval(() => this.#tick(), STATS_INTERVAL_MS);
    this.#stats.unref();
    await Promise.all(message.listeners.map((handle) => this.#listen(handle)));
    this.#send({ type: 'ready' });
  }

  /** One after the other, so that the one that came last is in force in the end. The old one is until the new is compiled. */
  #apply(policy: CompiledPolicy): Promise<void> {
    this.#applied = this.#applied.then(async () => this.#switch(policy, await MaskEngine.prepared(policy)));
    return this.#applied;
  }

  /** One assignment: a flow is decided wholly by the old policy or wholly by the new one. */
  #switch(policy: CompiledPolicy, maskEngine: MaskEngine): void {
    const contexts = new TlsContexts({ systemCa: this.#systemCa, now: () => this.#clock.now() });
    // Before the switch, so that no flow waits for a trust store to be parsed.
    contexts.warm(policy, this.#policy?.contexts ?? null);
    this.#policy = {
      prepared: preparePolicy(policy),
      contexts,
      maskEngine,
      catalogs: new Catalogs(this.#clock),
    };
  }

  /** Listeners and sockets in another network namespace; those that are of no use are closed. */
  handleNamespace(message: NamespaceMessage, fds: readonly number[]): void {
    if (this.#policy === null && !this.#leaves) this.#early.push(() => this.#admit(message, fds));
    else this.#admit(message, fds);
  }

  #admit(message: NamespaceMessage, fds: readonly number[]): void {
    const { netnsCookie } = message;
    const known = this.#elsewhere.get(netnsCookie);
    if (message.type === 'sockets' && known !== undefined) {
      known.sockets.give(message.family, fds);
      return;
    }
    // One that is retired leaves them to whoever is next: they are queues of the daemon's.
    const serving = !this.#leaves;
    if (message.type === 'listen' && serving && fds.length === message.families.length) {
      this.#listenElsewhere(netnsCookie, fds);
      return;
    }
    for (const fd of fds) this.#closeFd(fd);
    if (message.type !== 'close' || known === undefined) return;
    this.#elsewhere.delete(netnsCookie);
    for (const close of known.listeners) close();
    known.sockets.close();
  }

  /** Those of a namespace it listens in already are more of them: it stands in for a worker that is no more. */
  #listenElsewhere(cookie: bigint, fds: readonly number[]): void {
    const there = this.#elsewhere.get(cookie) ?? this.#enter(cookie);
    for (const fd of fds) there.listeners.push(this.#doors.add(fd, () => this.#makeServer(there)));
  }

  #enter(cookie: bigint): Elsewhere {
    const sockets = new SocketPool({
      ask: (family, count) => this.#send({ type: 'sockets', netnsCookie: String(cookie), family, count }),
      closeFd: this.#closeFd,
    });
    const entered: Elsewhere = { cookie, listeners: [], sockets };
    this.#elsewhere.set(cookie, entered);
    return entered;
  }

  /** Nothing listens for its errors: a worker that cannot listen must end, so that it is replaced. */
  #makeServer(elsewhere: Pick<Elsewhere, 'cookie' | 'sockets'> | null): Server {
    const server = createServer({
      pauseOnConnect: true,
      allowHalfOpen: true,
      noDelay: true,
      highWaterMark: HIGH_WATER_MARK_BYTES,
    });
    server.on('connection', (socket) => this.#accept(socket, elsewhere));
    return server;
  }

  /** Resolves when it listens, for the first time. */
  #listen({ fd }: ListenerHandle): Promise<void> {
    return new Promise((resolve) => {
      const makeServer = (): Server => this.#makeServer(null).once('listening', resolve);
      this.#listeners.push(this.#doors.add(fd, makeServer));
    });
  }

  #accept(socket: Socket, elsewhere: Pick<Elsewhere, 'cookie' | 'sockets'> | null): void {
    this.#accepted += 1;
    const fd = fdOf(socket);
    let flow: KernelFlow | null = null;
    try {
      flow = fd === null ? null : this.#readFlow(fd);
    } catch (error) {
      this.#refuse(socket, null, 'internal_error', describeDefect(error));
      return;
    }
    const open = this.#sessions.size;
    if (flow === null) {
      this.#refuse(socket, null, 'not_an_agent', 'somebody who is no agent connected to the proxy');
    } else if (this.#policy === null || open >= this.#maxFlows) {
      this.#refuse(socket, flow, 'overloaded', `the worker carries ${open} flows already`);
    } else if (elsewhere !== null && elsewhere.cookie !== flow.facts.netnsCookie) {
      this.#refuse(
        socket,
        flow,
        'internal_error',
        "the flow is of another network namespace than its listener's",
      );
    } else {
      void this.#carry(socket, flow, this.#policy, elsewhere?.sockets ?? null);
    }
  }

  async #carry(
    agent: Socket,
    flow: KernelFlow,
    policy: PolicyInForce,
    sockets: SocketPool | null,
  ): Promise<void> {
    const { facts } = flow;
    const resolvedName = (): Promise<string | null> => this.#names.ask(facts.agentId, facts.dstIp);
    const cancels = new FlowCancels(this.#cancelKeys, facts, this.#cancelDesk.find);
    const worker = this.#number;
    const clock = this.#clock;
    const onEstablished = (): void => this.#changed();
    const session = new Session({
      agent,
      facts,
      policy,
      worker,
      clock,
      sockets,
      resolvedName,
      cancels,
      onEstablished,
      approver: this.#holds,
    });
    this.#sessions.add(session);
    const report = await session.run();
    this.#sessions.delete(session);
    this.#report(flow, report);
    this.#changed();
  }

  #changed(): void {
    for (const watcher of this.#watchers) watcher();
  }

  /** Whether `condition` came true in time; looked at whenever a flow has gone a step further. */
  #until(condition: () => boolean, timeoutMs: number | null): Promise<boolean> {
    return new Promise((resolve) => {
      const done = (result: boolean): void => {
        if (timer !== null) clearTimeout(timer);
        this.#watchers.delete(look);
        resolve(result);
      };
      const look = (): void => {
        if (condition()) done(true);
      };
      const timer = timeoutMs === null ? null : setTimeout(() => done(condition()), timeoutMs);
      this.#watchers.add(look);
      look();
    });
  }

  /** RST, and a report that says why. */
  #refuse(socket: Socket, flow: KernelFlow | null, reason: Reason, detail: string): void {
    const facts = flow?.facts ?? null;
    const draft = new FlowDraft({
      // The kernel numbers flows; this connection is none, and its record needs a name all the same.
      id: facts?.id ?? randomBytes(8).toString('hex'),
      facts,
      policyRevision: this.#policy?.prepared.source.revision ?? '',
      worker: this.#number,
      src: { ip: socket.remoteAddress ?? null, port: socket.remotePort ?? null },
    });
    socket.on('error', () => {
      // It is being reset: nothing that can still go wrong with it matters.
    });
    resetSocket(socket);
    this.#report(flow, draft.finish(reason, detail, 0));
  }

  #report(flow: KernelFlow | null, report: WorkerFlowReport): void {
    if (report.verdict !== 'allow') this.#refused += 1;
    this.#reports.add({ kernel: flow?.text ?? null, report });
  }

  #tick(): void {
    this.#doors.look();
    this.#sendStats();
  }

  #sendStats(): void {
    const atMs = monotonicMs();
    this.#reports.flush();
    this.#send({
      type: 'stats',
      atMs,
      openFlows: this.#sessions.size,
      accepted: this.#accepted,
      refused: this.#refused,
      outOfDescriptors: this.#doors.shut,
    });
  }

  /** The listeners stay open in the daemon, where connections wait for whoever is next. */
  #closeListeners(): void {
    this.#leaves = true;
    for (const admit of this.#early.splice(0)) admit();
    for (const close of this.#listeners.splice(0)) close();
    for (const { listeners } of this.#elsewhere.values()) for (const close of listeners) close();
  }

  #closeElsewhere(): void {
    for (const { sockets } of this.#elsewhere.values()) sockets.close();
    this.#elsewhere.clear();
  }

  /**
   * Takes no more connections and carries those it has to their end, for at most `graceMs`. Says `retired` as soon as it
   * needs nothing of the daemon, and then nothing more until it is `adopted`, by this daemon or the next. Told again, it
   * falls silent again.
   *
   * @throws Error when nobody adopts it: flows that nobody records must not go on.
   */
  async #retire(graceMs: number, daemonStays: boolean): Promise<void> {
    const begun = this.#drainTimer !== null;
    if (this.#drainTimer !== null) clearTimeout(this.#drainTimer);
    this.#drainTimer = setTimeout(() => this.#cutDrained(), graceMs);
    this.#closeListeners();
    await this.#until(() => [...this.#sessions].every(({ established }) => established), SETTLE_MS);
    this.#closeElsewhere();
    if (!begun) void this.#leave();
    this.#reports.flush();
    this.#sendStats();
    if (this.#held !== null) return;
    // The list of what waits does not go from one daemon to the next.
    if (!daemonStays) this.#holds.suspend();
    this.#sendNow({ type: 'retired' });
    this.#held = [];
    await this.#adoption();
  }

  /** Goes with its last flow. */
  async #leave(): Promise<void> {
    await this.#until(() => this.#sessions.size === 0, null);
    if (this.#drainTimer !== null) clearTimeout(this.#drainTimer);
    this.#finish();
    this.#send({ type: 'drained' });
  }

  #cutDrained(): void {
    this.cutAll('drain_timeout', 'the worker was replaced, and the flow did not end in time');
  }

  async #adoption(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no daemon came')), ADOPTION_TIMEOUT_MS);
      this.#adopted = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    const held = this.#held ?? [];
    this.#held = null;
    this.#holds.resume();
    for (const { message, onSent } of held) this.#sendNow(message, onSent);
    this.#sendStats();
  }

  /** Takes no more connections, lets flows finish for `graceMs`, cuts the rest, reports them all. */
  async stop(graceMs: number = STOP_GRACE_MS): Promise<void> {
    this.#closeListeners();
    this.#holds.close('Sluice is being stopped');
    this.#closeElsewhere();
    const idle = (): boolean => this.#sessions.size === 0;
    if (!(await this.#until(idle, graceMs))) {
      this.cutAll('worker_died', 'the worker was stopped');
      await this.#until(idle, null);
    }
    this.#finish();
  }

  #finish(): void {
    if (this.#stats !== null) clearInterval(this.#stats);
    this.#reports.flush();
  }

  /** Resets every open flow; their reports follow. */
  cutAll(reason: Reason, detail: string): void {
    for (const session of this.#sessions) session.cut(reason, detail);
  }
}
