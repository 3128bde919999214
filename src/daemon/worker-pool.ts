/**
 * The worker processes: starts them, hands them their listeners, starts another when one dies, and swaps the
 * policy in all of them.
 *
 * A listener belongs to the daemon and is lent to a worker, so that connections which come while a worker is
 * being replaced wait in its queue. A worker's messages are a claim, not a fact: it reads hostile bytes.
 */
import type { ChildProcess } from 'node:child_process';
import { Duplex } from 'node:stream';
import { monotonicMs } from '../core/clock.ts';
import { SluiceError } from '../core/errors.ts';
import { closeFd, descriptorPair, sendDescriptors } from '../kernel/descriptors.ts';
import type { CompiledPolicy } from '../policy/types.ts';
import { CHANNEL_FD, Channel, MAX_WORKER_FRAME_BYTES } from '../proxy/channel.ts';
import type { DaemonMessage, ListenerHandle, NameAnswer, NameQuestion } from '../proxy/ipc.ts';
import { isNameQuestion } from './name-claim.ts';
import { FIRST_LENT_FD, startUnprivileged } from './unprivileged.ts';
import type { WorkerUser } from './user.ts';

/** A second on a machine of usual speed; half a minute on one that is emulated or starved. */
const READY_TIMEOUT_MS = 120_000;
const POLICY_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 8_000;
/** A worker that dies younger than this is started again only after a pause, or a defect becomes a busy loop. */
const SETTLED_MS = 5_000;
const RESTART_PAUSE_MS = 1_000;

/** The first descriptor a worker is lent is its end of the line for descriptors (NAMESPACE_LINE_FD). */
const FIRST_LISTENER_FD = FIRST_LENT_FD + 1;

export interface PoolListener {
  /** The daemon's descriptor. */
  readonly fd: number;
  readonly family: 4 | 6;
}

export interface PoolOptions {
  /** Listeners by worker; their number is the number of workers. */
  readonly listeners: readonly (readonly PoolListener[])[];
  readonly user: WorkerUser;
  readonly maxFlows: number;
  readonly policy: CompiledPolicy;
  readonly onFlows: (flows: readonly unknown[]) => void;
  readonly onDeath: (worker: number, how: string) => void;
  /** A worker wants to know a name; it is answered by `answerName`, or in time by nobody. */
  readonly onNameQuestion: (worker: number, question: NameQuestion) => void;
  /** It takes connections, for the first time or again. */
  readonly onReady: (worker: number) => void;
  /** It asks for sockets in another network namespace. */
  readonly onSockets: (worker: number, claim: Readonly<Record<string, unknown>>) => void;
}

export interface WorkerState {
  readonly number: number;
  readonly pid: number | null;
  readonly openFlows: number;
  readonly accepted: number;
  readonly refused: number;
  readonly restarts: number;
}

interface Slot {
  readonly number: number;
  readonly listeners: readonly PoolListener[];
  child: ChildProcess | null;
  channel: Channel | null;
  /** Our end of the line for descriptors. */
  line: number | null;
  ready: boolean;
  startedMs: number;
  restarts: number;
  openFlows: number;
  /** Of this process; what its predecessors had is in `past`. */
  accepted: number;
  refused: number;
  /** performance.now(): what ended before that it has reported. */
  toldUntilMs: number;
  past: { accepted: number; refused: number };
  revision: string | null;
}

function numberOf(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : 0;
}

export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #slots: Slot[];
  readonly #waiters = new Set<() => void>();
  #policy: CompiledPolicy;
  #stopping = false;

  private constructor(options: PoolOptions) {
    this.#options = options;
    this.#policy = options.policy;
    this.#slots = options.listeners.map((listeners, number) => ({
      number,
      listeners,
      child: null,
      channel: null,
      line: null,
      ready: false,
      startedMs: 0,
      restarts: 0,
      openFlows: 0,
      accepted: 0,
      refused: 0,
      toldUntilMs: 0,
      past: { accepted: 0, refused: 0 },
      revision: null,
    }));
  }

  /** Resolves when every worker accepts connections. */
  static async start(options: PoolOptions): Promise<WorkerPool> {
    const pool = new WorkerPool(options);
    for (const slot of pool.#slots) pool.#spawn(slot);
    const ready = await pool.#until(() => pool.#slots.every((slot) => slot.ready), READY_TIMEOUT_MS);
    if (ready) return pool;
    await pool.stop();
    throw new SluiceError('KERNEL', 'the workers did not start', {
      hint: 'their own words stand above; is the code readable and the user allowed to run?',
    });
  }

  states(): WorkerState[] {
    return this.#slots.map((slot) => ({
      number: slot.number,
      pid: slot.ready ? (slot.child?.pid ?? null) : null,
      openFlows: slot.openFlows,
      accepted: slot.past.accepted + slot.accepted,
      refused: slot.past.refused + slot.refused,
      restarts: slot.restarts,
    }));
  }

  /** performance.now(): every worker that lives has reported what ended before. */
  toldUntilMs(): number {
    return Math.min(...this.#slots.map(({ ready, toldUntilMs }) => (ready ? toldUntilMs : Infinity)));
  }

  /**
   * Gives every worker a policy and waits until each has it; one that is just being replaced starts with it.
   *
   * @throws SluiceError when a worker does not take it in time; that worker is then replaced.
   */
  async setPolicy(policy: CompiledPolicy): Promise<void> {
    this.#policy = policy;
    for (const slot of this.#slots) this.#send(slot, { type: 'policy', policy });
    const everywhere = (): boolean =>
      this.#slots.every((slot) => !slot.ready || slot.revision === policy.revision);
    if (await this.#until(everywhere, POLICY_TIMEOUT_MS)) return;
    // A worker with the old policy must not go on deciding.
    for (const slot of this.#slots) if (slot.revision !== policy.revision) slot.child?.kill('SIGKILL');
    throw new SluiceError('API', 'a worker did not take the new policy in time and was replaced');
  }

  /** Gives a worker the answer to its question; whether it is still the one that asked, it sees by itself. */
  answerName(worker: number, { question, agentId, ip, name }: NameAnswer): void {
    const slot = this.#slots[worker];
    if (slot !== undefined) this.#send(slot, { type: 'name', question, agentId, ip, name });
  }

  /** Hands descriptors to a worker that is running; it gets duplicates. */
  sendDescriptors(worker: number, message: Buffer, fds: readonly number[]): void {
    const slot = this.#slots[worker];
    if (slot === undefined || slot.line === null || !slot.ready) return;
    // A line that is full has not been read for hundreds of messages. The next worker is told everything anew.
    if (!sendDescriptors(slot.line, message, fds)) slot.child?.kill('SIGKILL');
  }

  /** Lets the workers end their flows, then ends them. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const slot of this.#slots) this.#send(slot, { type: 'stop' });
    const gone = (): boolean => this.#slots.every((slot) => slot.child === null);
    if (await this.#until(gone, STOP_TIMEOUT_MS)) return;
    for (const slot of this.#slots) slot.child?.kill('SIGKILL');
    await this.#until(gone, STOP_TIMEOUT_MS);
  }

  #spawn(slot: Slot): void {
    const { user } = this.#options;
    const [line, workersLine] = descriptorPair();
    const fds = [workersLine, ...slot.listeners.map(({ fd }) => fd)];
    const child = startUnprivileged('worker', user, fds);
    closeFd(workersLine);
    slot.child = child;
    slot.line = line;
    slot.ready = false;
    slot.startedMs = performance.now();
    slot.revision = this.#policy.revision;
    slot.channel = this.#openChannel(slot, child);
    child.on('error', (error) => this.#ended(slot, child, error.message));
    child.on('exit', (code, signal) => this.#ended(slot, child, signal ?? `exit code ${code}`));
    const listeners: ListenerHandle[] = slot.listeners.map(({ family }, index) => ({
      fd: FIRST_LISTENER_FD + index,
      family,
    }));
    this.#send(slot, {
      type: 'init',
      worker: slot.number,
      policy: this.#policy,
      listeners,
      maxFlows: this.#options.maxFlows,
    });
  }

  #send(slot: Slot, message: DaemonMessage): void {
    slot.channel?.send(message);
  }

  #openChannel(slot: Slot, child: ChildProcess): Channel | null {
    const socket = child.stdio[CHANNEL_FD];
    if (!(socket instanceof Duplex)) return null;
    return new Channel(socket, MAX_WORKER_FRAME_BYTES, {
      onMessage: (message) => this.#heard(slot, child, message),
      // Whatever made it break the rules, it is no worker of ours any more.
      onViolation: () => child.kill('SIGKILL'),
      // It has said all it will; a worker without a line must not go on.
      onClose: () => child.kill('SIGKILL'),
    });
  }

  /** A worker's message is a claim, and may be anything. */
  #heard(slot: Slot, child: ChildProcess, message: unknown): void {
    if (slot.child !== child || typeof message !== 'object' || message === null) return;
    const claim: Readonly<Record<string, unknown>> = { ...message };
    if (claim['type'] === 'flows' && Array.isArray(claim['flows'])) this.#options.onFlows(claim['flows']);
    else if (isNameQuestion(claim)) this.#options.onNameQuestion(slot.number, claim);
    else if (claim['type'] === 'stats') {
      slot.openFlows = numberOf(claim['openFlows']);
      slot.accepted = numberOf(claim['accepted']);
      slot.refused = numberOf(claim['refused']);
      slot.toldUntilMs = performance.now() - Math.max(0, monotonicMs() - numberOf(claim['atMs']));
    } else if (claim['type'] === 'ready' && !slot.ready) {
      slot.ready = true;
      slot.toldUntilMs = performance.now();
      this.#options.onReady(slot.number);
    } else if (claim['type'] === 'sockets') this.#options.onSockets(slot.number, claim);
    else if (claim['type'] === 'policy-applied' && typeof claim['revision'] === 'string')
      slot.revision = claim['revision'];
    this.#wake();
  }

  #ended(slot: Slot, child: ChildProcess, how: string): void {
    if (slot.child !== child) return;
    slot.child = null;
    slot.channel = null;
    if (slot.line !== null) closeFd(slot.line);
    slot.line = null;
    slot.ready = false;
    slot.openFlows = 0;
    slot.past = { accepted: slot.past.accepted + slot.accepted, refused: slot.past.refused + slot.refused };
    slot.accepted = 0;
    slot.refused = 0;
    this.#wake();
    if (this.#stopping) return;
    slot.restarts += 1;
    this.#options.onDeath(slot.number, how);
    const pauseMs = performance.now() - slot.startedMs > SETTLED_MS ? 0 : RESTART_PAUSE_MS;
    setTimeout(() => {
      if (!this.#stopping && slot.child === null) this.#spawn(slot);
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
