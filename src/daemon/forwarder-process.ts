/**
 * The forwarder's process: starts it, lends it its sockets, starts another when it dies, and tells it the policy. What it
 * says is a claim, as a worker's is.
 *
 * While there is none, agents' questions wait in the queue of its sockets, which are the daemon's.
 */
import type { ChildProcess } from 'node:child_process';
import { Duplex } from 'node:stream';
import { SluiceError } from '../core/errors.ts';
import { closeFd, descriptorPair, sendDescriptors } from '../kernel/descriptors.ts';
import type { DnsPolicy } from '../policy/dns-names.ts';
import { CHANNEL_FD, Channel, MAX_WORKER_FRAME_BYTES } from '../proxy/channel.ts';
import type { ToForwarder } from '../proxy/dns/dns-ipc.ts';
import type { ListenerHandle, NameAnswer, NameQuestion } from '../proxy/ipc.ts';
import { isNameAnswer } from './name-claim.ts';
import { FIRST_LENT_FD, startUnprivileged } from './unprivileged.ts';
import type { WorkerUser } from './user.ts';
import type { PoolListener } from './worker-process.ts';

const READY_TIMEOUT_MS = 30_000;
const POLICY_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 2_000;
const SETTLED_MS = 5_000;
const RESTART_PAUSE_MS = 1_000;

/** The first descriptor it is lent is its end of the line for descriptors (NAMESPACE_LINE_FD). */
const FIRST_SOCKET_FD = FIRST_LENT_FD + 1;

/** Of the process that runs; names as in `DnsCounters`. */
const COUNTERS = ['questions', 'answered', 'refused', 'limited', 'failed'] as const;

export interface ForwarderOptions {
  readonly datagrams: readonly PoolListener[];
  readonly listeners: readonly PoolListener[];
  readonly user: WorkerUser;
  readonly policy: DnsPolicy;
  readonly onFlows: (flows: readonly unknown[]) => void;
  readonly onNameAnswer: (worker: number, answer: NameAnswer) => void;
  readonly onDeath: (how: string) => void;
  /** It answers, for the first time or again. */
  readonly onReady: () => void;
}

export interface ForwarderState {
  /** Null while it is being started. */
  readonly pid: number | null;
  readonly restarts: number;
  readonly counters: Counters;
  /** Questions by TCP wait, for want of file descriptors. */
  readonly outOfDescriptors: boolean;
}

type Counters = Readonly<Record<(typeof COUNTERS)[number], number>>;

const NONE: Counters = { questions: 0, answered: 0, refused: 0, limited: 0, failed: 0 };

export class ForwarderProcess {
  readonly #options: ForwarderOptions;
  readonly #waiters = new Set<() => void>();
  #policy: DnsPolicy;
  #child: ChildProcess | null = null;
  #channel: Channel | null = null;
  /** Our end of the line for descriptors. */
  #line: number | null = null;
  #ready = false;
  #revision: string | null = null;
  #startedMs = 0;
  #restarts = 0;
  #past: Counters = NONE;
  #current: Counters = NONE;
  #outOfDescriptors = false;
  #stopping = false;

  private constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#policy = options.policy;
  }

  /** Resolves when it answers. */
  static async start(options: ForwarderOptions): Promise<ForwarderProcess> {
    const forwarder = new ForwarderProcess(options);
    forwarder.#spawn();
    if (await forwarder.#until(() => forwarder.#ready, READY_TIMEOUT_MS)) return forwarder;
    await forwarder.stop();
    throw new SluiceError('KERNEL', 'the DNS forwarder did not start', {
      hint: 'its own words stand above; is the code readable and the user allowed to run?',
    });
  }

  state(): ForwarderState {
    return {
      outOfDescriptors: this.#outOfDescriptors,
      pid: this.#ready ? (this.#child?.pid ?? null) : null,
      restarts: this.#restarts,
      counters: added(this.#past, this.#current),
    };
  }

  /** @throws SluiceError when it does not take the policy in time; it is then replaced. */
  async setPolicy(policy: DnsPolicy): Promise<void> {
    this.#policy = policy;
    this.#revision = null;
    this.#send({ type: 'policy', policy });
    // One that is being replaced starts with it.
    const applied = (): boolean => !this.#ready || this.#revision === policy.revision;
    if (await this.#until(applied, POLICY_TIMEOUT_MS)) return;
    this.#child?.kill('SIGKILL');
    throw new SluiceError('API', 'the DNS forwarder did not take the new policy in time and was replaced');
  }

  /** Passes a worker's question on. */
  ask(worker: number, { question, agentId, ip }: NameQuestion): void {
    this.#send({ type: 'name', worker, question, agentId, ip });
  }

  /** Hands descriptors to the one that runs; it gets duplicates. */
  sendDescriptors(message: Buffer, fds: readonly number[]): void {
    if (this.#line === null || !this.#ready) return;
    // Not read for hundreds of messages. The next one is told everything anew.
    if (!sendDescriptors(this.#line, message, fds)) this.#child?.kill('SIGKILL');
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#send({ type: 'stop' });
    const gone = (): boolean => this.#child === null;
    if (await this.#until(gone, STOP_TIMEOUT_MS)) return;
    this.#child?.kill('SIGKILL');
    await this.#until(gone, STOP_TIMEOUT_MS);
  }

  #spawn(): void {
    const { datagrams, listeners, user } = this.#options;
    const lent = [...datagrams, ...listeners];
    const [line, forwardersLine] = descriptorPair();
    const child = startUnprivileged('forwarder', user, [forwardersLine, ...lent.map(({ fd }) => fd)]);
    closeFd(forwardersLine);
    this.#line = line;
    this.#child = child;
    this.#ready = false;
    this.#startedMs = performance.now();
    child.on('error', (error) => this.#ended(child, error.message));
    child.on('exit', (code, signal) => this.#ended(child, signal ?? `exit code ${code}`));
    const socket = child.stdio[CHANNEL_FD];
    this.#channel = socket instanceof Duplex ? this.#openChannel(child, socket) : null;
    const handles = lent.map(
      ({ family }, index): ListenerHandle => ({ fd: FIRST_SOCKET_FD + index, family }),
    );
    this.#send({
      type: 'init',
      policy: this.#policy,
      datagrams: handles.slice(0, datagrams.length),
      listeners: handles.slice(datagrams.length),
    });
  }

  #openChannel(child: ChildProcess, socket: Duplex): Channel {
    return new Channel(socket, MAX_WORKER_FRAME_BYTES, {
      onMessage: (message) => this.#heard(child, message),
      onViolation: () => child.kill('SIGKILL'),
      onClose: () => child.kill('SIGKILL'),
    });
  }

  #send(message: ToForwarder): void {
    this.#channel?.send(message);
  }

  /** May be anything. */
  #heard(child: ChildProcess, message: unknown): void {
    if (this.#child !== child || typeof message !== 'object' || message === null) return;
    const claim: Readonly<Record<string, unknown>> = { ...message };
    if (claim['type'] === 'flows' && Array.isArray(claim['flows'])) this.#options.onFlows(claim['flows']);
    else if (isNameAnswer(claim)) this.#options.onNameAnswer(claim.worker, claim);
    else if (claim['type'] === 'stats') {
      this.#current = countersOf(claim['counters']);
      this.#outOfDescriptors = claim['outOfDescriptors'] === true;
    } else if (claim['type'] === 'ready' && !this.#ready) {
      this.#ready = true;
      this.#options.onReady();
    } else if (claim['type'] === 'policy-applied' && typeof claim['revision'] === 'string')
      this.#revision = claim['revision'];
    for (const waiter of [...this.#waiters]) waiter();
  }

  #ended(child: ChildProcess, how: string): void {
    if (this.#child !== child) return;
    this.#child = null;
    this.#channel = null;
    if (this.#line !== null) closeFd(this.#line);
    this.#line = null;
    this.#ready = false;
    this.#past = added(this.#past, this.#current);
    this.#current = NONE;
    this.#outOfDescriptors = false;
    for (const waiter of [...this.#waiters]) waiter();
    if (this.#stopping) return;
    this.#restarts += 1;
    this.#options.onDeath(how);
    const pauseMs = performance.now() - this.#startedMs > SETTLED_MS ? 0 : RESTART_PAUSE_MS;
    setTimeout(() => {
      if (!this.#stopping && this.#child === null) this.#spawn();
    }, pauseMs);
  }

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

function countersOf(value: unknown): Counters {
  const claim: Readonly<Record<string, unknown>> =
    typeof value === 'object' && value !== null ? { ...value } : {};
  const read = (name: string): number => {
    const count = claim[name];
    return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : 0;
  };
  return Object.fromEntries(COUNTERS.map((name) => [name, read(name)])) as Counters;
}

function added(a: Counters, b: Counters): Counters {
  return Object.fromEntries(COUNTERS.map((name) => [name, a[name] + b[name]])) as Counters;
}
