/**
 * The workers: starts them, hands them their listeners, starts another when one dies, replaces them one by one, and
 * swaps the policy in all of them.
 *
 * A listener belongs to the daemon and is lent to a worker, so that connections which come while a worker is
 * being replaced wait in its queue. One that is replaced is *drained*: it takes no more connections and no new policy,
 * and ends with its last flow or at the drain time-out.
 */
import { monotonicMs } from '../core/clock.ts';
import { SluiceError } from '../core/errors.ts';
import type { CompiledPolicy } from '../policy/types.ts';
import type { DaemonMessage, NameAnswer, NameQuestion, RetireMessage } from '../proxy/ipc.ts';
import { CancelRelay, isCancelAnswer, isCancelQuestion } from './cancel-relay.ts';
import type { Holds } from './holds.ts';
import { isNameQuestion } from './name-claim.ts';
import type { WorkerUser } from './user.ts';
import {
  type HandedWorker,
  ORDERLY_END,
  type PoolListener,
  type ProcessEvents,
  WorkerProcess,
} from './worker-process.ts';

/** A second on a machine of usual speed; half a minute on one that is emulated or starved. */
const READY_TIMEOUT_MS = 120_000;
const POLICY_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 8_000;
/** Longer than a worker waits for flows that are being opened (SETTLE_MS of proxy/worker.ts). */
const RETIRE_TIMEOUT_MS = 10_000;
/** A worker that dies younger than this is started again only after a pause, or a defect becomes a busy loop. */
const SETTLED_MS = 5_000;
const RESTART_PAUSE_MS = 1_000;
/** Each worker is drained beside the one that serves, and again; a process takes some 80 MB. More are cut, oldest first. */
const DRAINING_PER_WORKER = 2;

export interface PoolOptions {
  /** Listeners by worker; their number is the number of workers. */
  readonly listeners: readonly (readonly PoolListener[])[];
  readonly user: WorkerUser;
  readonly maxFlows: number;
  readonly busyPollUs: number;
  /** How long flows of a worker that is replaced may go on. */
  readonly drainTimeoutMs: number;
  readonly policy: CompiledPolicy;
  /** Workers an earlier daemon has retired. */
  readonly handedOver: readonly HandedWorker[];
  readonly onFlows: (flows: readonly unknown[], worker: number) => void;
  readonly onDeath: (worker: number, how: string) => void;
  /** A worker wants to know a name; it is answered by `answerName` with the same key, or in time by nobody. */
  readonly onNameQuestion: (key: number, question: NameQuestion) => void;
  /** Told of what waits in workers for somebody's answer. */
  readonly holds: Holds;
  /** It takes connections, for the first time or again. */
  readonly onReady: (worker: number) => void;
  /** It asks for sockets in another network namespace, and is answered by `reply`. */
  readonly onSockets: (worker: number, claim: Readonly<Record<string, unknown>>, reply: Reply) => void;
}

export type Reply = (message: Buffer, fds: readonly number[]) => void;

export interface WorkerState {
  readonly number: number;
  readonly pid: number | null;
  readonly openFlows: number;
  readonly accepted: number;
  readonly refused: number;
  readonly restarts: number;
  /** It takes no connections for want of file descriptors. */
  readonly outOfDescriptors: boolean;
}

export interface DrainingWorker {
  readonly number: number;
  readonly pid: number;
  readonly openFlows: number;
  /** RFC 3339. */
  readonly until: string;
}

interface Slot {
  readonly number: number;
  readonly listeners: readonly PoolListener[];
  current: WorkerProcess | null;
  /** Is to take its place. */
  next: WorkerProcess | null;
  restarts: number;
  /** Of processes that were in `current`. */
  past: { accepted: number; refused: number };
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0;
}

export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #slots: Slot[];
  /** In the order in which they were retired. */
  readonly #draining = new Set<WorkerProcess>();
  readonly #waiters = new Set<() => void>();
  readonly #cancels = new CancelRelay(() => this.#answering());
  #policy: CompiledPolicy;
  #nextKey = 0;
  #stopping = false;
  /** Who is retired is for the next daemon. */
  #isHandingOver = false;
  #replacing = false;

  private constructor(options: PoolOptions) {
    this.#options = options;
    this.#policy = options.policy;
    this.#slots = options.listeners.map((listeners, number) => ({
      number,
      listeners,
      current: null,
      next: null,
      restarts: 0,
      past: { accepted: 0, refused: 0 },
    }));
    for (const handed of options.handedOver)
      this.#draining.add(WorkerProcess.adopt(this.#key(), handed, this.#events));
  }

  /** Resolves when every worker accepts connections. */
  static async start(options: PoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(options);
    for (const slot of pool.#slots) slot.current = pool.#spawn(slot);
    const serving = (): boolean => pool.#slots.every(({ current }) => current?.ready);
    const ready = await pool.#until(serving, READY_TIMEOUT_MS);
    if (ready) return pool;
    await pool.stop();
    throw new SluiceError('KERNEL', 'the workers did not start', {
      hint: 'their own words stand above; is the code readable and the user allowed to run?',
    });
  }

  states(): WorkerState[] {
    return this.#slots.map(({ number, current, restarts, past }) => ({
      number,
      pid: current?.ready ? current.pid : null,
      openFlows: current?.openFlows ?? 0,
      accepted: past.accepted + (current?.accepted ?? 0),
      refused: past.refused + (current?.refused ?? 0),
      restarts,
      outOfDescriptors: current?.outOfDescriptors ?? false,
    }));
  }

  /** performance.now(): every worker that lives has reported what ended before. */
  toldUntilMs(): number {
    const told = this.#all().map((p) => (p.ready || p.retired ? p.toldUntilMs : Infinity));
    return Math.min(...told);
  }

  draining(): DrainingWorker[] {
    return [...this.#draining].map(({ number, pid, openFlows, drainUntilMs }) => {
      return { number, pid, openFlows, until: new Date(drainUntilMs).toISOString() };
    });
  }

  /**
   * Gives every worker a policy and waits until each has it; one that is just being replaced starts with it.
   *
   * @throws SluiceError when a worker does not take it in time; that worker is then replaced.
   */
  async setPolicy(policy: CompiledPolicy): Promise<void> {
    this.#policy = policy;
    const deciding = this.#slots.flatMap(({ current, next }) => [current, next]).filter((p) => p !== null);
    for (const process of deciding) process.send({ type: 'policy', policy });
    const late = (): WorkerProcess[] =>
      deciding.filter((p) => !p.ended && !p.retired && p.revision !== policy.revision);
    if (await this.#until(() => late().every(({ ready }) => !ready), POLICY_TIMEOUT_MS)) return;
    // A worker with the old policy must not go on deciding.
    for (const process of late()) process.kill();
    throw new SluiceError('API', 'a worker did not take the new policy in time and was replaced');
  }

  /** Gives a worker the answer to its question; whether it is still the one that asked, it sees by itself. */
  answerName(key: number, { question, agentId, ip, name }: NameAnswer): void {
    this.send(key, { type: 'name', question, agentId, ip, name });
  }

  /** To the process with this key, if it is still there. */
  send(key: number, message: DaemonMessage): void {
    for (const process of this.#all()) if (process.key === key) process.send(message);
  }

  /** Hands descriptors to a worker that is running; it gets duplicates. */
  sendDescriptors(worker: number, message: Buffer, fds: readonly number[]): void {
    const current = this.#slots[worker]?.current;
    if (current?.ready) current.sendDescriptors(message, fds);
  }

  /**
   * Replaces every worker, one after the other: the new one takes connections before the old takes none any more.
   *
   * @throws SluiceError when another restart is under way, or a new worker does not start; the old one serves on then.
   */
  async restart(): Promise<void> {
    if (this.#replacing || this.#stopping)
      throw new SluiceError('API', 'the workers are being replaced already', { hint: 'see `sluice status`' });
    this.#replacing = true;
    try {
      for (const slot of this.#slots) await this.#replace(slot);
    } finally {
      this.#replacing = false;
      this.#wake();
    }
  }

  async #replace(slot: Slot): Promise<void> {
    if (this.#stopping) throw new SluiceError('API', 'the daemon is about to go');
    const next = this.#spawn(slot);
    slot.next = next;
    await this.#until(() => next.ready || next.ended, READY_TIMEOUT_MS);
    slot.next = null;
    if (!next.ready || next.ended || this.#stopping) {
      next.kill();
      throw new SluiceError('API', `the worker that was to replace worker ${slot.number} did not start`);
    }
    const former = slot.current;
    slot.current = next;
    this.#options.onReady(slot.number);
    if (former === null) return;
    slot.past = {
      accepted: slot.past.accepted + former.accepted,
      refused: slot.past.refused + former.refused,
    };
    this.#drain(former, { outlive: false, daemonStays: true });
    await this.#until(() => former.retired || former.ended, RETIRE_TIMEOUT_MS);
    if (!former.retired) former.kill();
    former.send({ type: 'adopted' });
  }

  #drain(process: WorkerProcess, how: Pick<RetireMessage, 'outlive' | 'daemonStays'>): void {
    const { drainTimeoutMs } = this.#options;
    this.#draining.add(process);
    process.drainUntilMs = Date.now() + drainTimeoutMs;
    process.send({ type: 'retire', graceMs: drainTimeoutMs, ...how });
    const excess = this.#draining.size - DRAINING_PER_WORKER * this.#slots.length;
    for (const oldest of [...this.#draining].slice(0, Math.max(0, excess))) oldest.send({ type: 'cut' });
  }

  /**
   * Retires all workers, for the next daemon to adopt: they take no more connections, and say nothing until it has.
   * Who cannot be brought to that is ended.
   *
   * @param outlive whether this process will end before the next daemon is there
   */
  async handOver(outlive: boolean): Promise<HandedWorker[]> {
    this.#stopping = true;
    // A worker that is being replaced is told to go on with this daemon, and then to be silent for the next.
    for (const slot of this.#slots) slot.next?.kill();
    await this.#until(() => !this.#replacing, 2 * RETIRE_TIMEOUT_MS);
    this.#isHandingOver = true;
    for (const slot of this.#slots) {
      if (slot.current?.ready) this.#drain(slot.current, { outlive, daemonStays: false });
      else slot.current?.kill();
    }
    for (const process of this.#draining) {
      // Those that were adopted talk again, and have to be silent once more.
      const graceMs = remaining(process);
      if (process.retired) process.send({ type: 'retire', graceMs, outlive, daemonStays: false });
      process.retired = false;
    }
    const silent = (): boolean => [...this.#draining].every((p) => p.retired || p.drained || p.ended);
    await this.#until(silent, RETIRE_TIMEOUT_MS);
    for (const process of this.#draining) if (!process.retired) process.kill();
    await this.#until(silent, STOP_TIMEOUT_MS);
    return [...this.#draining].flatMap((process) => process.handOver() ?? []);
  }

  /** Lets the workers end their flows, then ends them. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const process of this.#all()) process.stop();
    const gone = (): boolean => this.#all().every(({ ended }) => ended);
    if (await this.#until(gone, STOP_TIMEOUT_MS)) return;
    for (const process of this.#all()) process.kill();
    await this.#until(gone, STOP_TIMEOUT_MS);
  }

  #all(): WorkerProcess[] {
    const serving = this.#slots.flatMap(({ current, next }) => [current, next]).filter((p) => p !== null);
    return [...serving, ...this.#draining];
  }

  /** Those that can be asked something; on the way to the next daemon those are silent that have been retired. */
  #answering(): WorkerProcess[] {
    return this.#all().filter((p) => !p.ended && !p.drained && (p.retired ? !this.#stopping : p.ready));
  }

  #key(): number {
    this.#nextKey += 1;
    return this.#nextKey;
  }

  #spawn({ number, listeners }: Slot): WorkerProcess {
    const { user, maxFlows, busyPollUs } = this.#options;
    const key = this.#key();
    const options = { key, number, user, listeners, policy: this.#policy, maxFlows, busyPollUs };
    return WorkerProcess.start(options, this.#events);
  }

  readonly #events: ProcessEvents = {
    onMessage: (process, claim) => {
      this.#heard(process, claim);
      this.#wake();
    },
    onEnd: (process, how) => {
      this.#cancels.gone(process);
      this.#ended(process, how);
      this.#wake();
    },
  };

  /** A worker's message is a claim, and may be anything. */
  #heard(process: WorkerProcess, claim: Readonly<Record<string, unknown>>): void {
    const { number, key } = process;
    if (claim['type'] === 'flows' && Array.isArray(claim['flows']))
      this.#options.onFlows(process.presentFlows(claim['flows']), number);
    else if (isNameQuestion(claim)) this.#options.onNameQuestion(key, claim);
    else if (isCancelQuestion(claim)) this.#cancels.asked(process, claim);
    else if (isCancelAnswer(claim)) this.#cancels.answered(process, claim);
    else if (this.#options.holds.heard(key, claim)) return;
    else if (claim['type'] === 'stats') {
      process.openFlows = numberOf(claim['openFlows']);
      process.accepted = numberOf(claim['accepted']);
      process.refused = numberOf(claim['refused']);
      process.outOfDescriptors = claim['outOfDescriptors'] === true;
      process.toldUntilMs = performance.now() - Math.max(0, monotonicMs() - numberOf(claim['atMs']));
    } else if (claim['type'] === 'ready' && !process.ready) {
      process.ready = true;
      process.toldUntilMs = performance.now();
      if (this.#slots[number]?.current === process) this.#options.onReady(number);
    } else if (claim['type'] === 'retired' && this.#draining.has(process)) {
      process.retired = true;
      if (this.#isHandingOver) this.#options.holds.handedOver(key);
    } else if (claim['type'] === 'drained' && this.#draining.has(process)) process.dismiss();
    else if (claim['type'] === 'sockets')
      this.#options.onSockets(number, claim, (message, fds) => process.sendDescriptors(message, fds));
    else if (claim['type'] === 'policy-applied' && typeof claim['revision'] === 'string')
      process.revision = claim['revision'];
  }

  #ended(process: WorkerProcess, how: string): void {
    const { number } = process;
    this.#options.holds.ended(process.key);
    const slot = this.#slots[number];
    if (this.#draining.delete(process)) {
      const inOrder = this.#stopping && how === ORDERLY_END;
      if (!process.drained && !inOrder) this.#options.onDeath(number, `${how}, while it was drained`);
      return;
    }
    if (slot?.current !== process) return;
    slot.current = null;
    slot.past = {
      accepted: slot.past.accepted + process.accepted,
      refused: slot.past.refused + process.refused,
    };
    if (this.#stopping) {
      // One that was killed has told of none of its flows, whoever was about to stop it.
      if (how !== ORDERLY_END) this.#options.onDeath(number, how);
      return;
    }
    slot.restarts += 1;
    this.#options.onDeath(number, `${how}; another is started`);
    const pauseMs = performance.now() - process.startedMs > SETTLED_MS ? 0 : RESTART_PAUSE_MS;
    setTimeout(() => {
      if (!this.#stopping && slot.current === null) slot.current = this.#spawn(slot);
    }, pauseMs);
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }

  /** Whether `condition` came true in time; looked at whenever a worker says or does something. */
  #until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (condition()) done(true);
      };
      const done = (result: boolean): void => {
        clearTimeout(timer);
        this.#waiters.delete(check);
        resolve(result);
      };
      const timer = setTimeout(() => done(condition()), timeoutMs);
      this.#waiters.add(check);
      check();
    });
  }
}

function remaining({ drainUntilMs }: WorkerProcess): number {
  return Math.max(0, drainUntilMs - Date.now());
}
