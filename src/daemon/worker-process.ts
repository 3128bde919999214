/**
 * One worker process as the daemon holds it: a child of this daemon, or one that an earlier daemon has handed over.
 * What it says is a claim, not a fact: it reads hostile bytes.
 */
import type { ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import { presentReport } from '../flowlog/former-report.ts';
import { closeFd, descriptorPair, duplicateFd, sendDescriptors } from '../kernel/descriptors.ts';
import { type FlowLayout, flowReader, presentFlowLayout } from '../kernel/migrate/flow-layout.ts';
import { ProcessHandle } from '../kernel/process-handle.ts';
import type { CompiledPolicy } from '../policy/types.ts';
import { CHANNEL_FD, Channel, MAX_WORKER_FRAME_BYTES } from '../proxy/channel.ts';
import type { DaemonMessage, ListenerHandle } from '../proxy/ipc.ts';
import { fdOf } from '../proxy/socket-fd.ts';
import { FIRST_LENT_FD, startUnprivileged } from './unprivileged.ts';
import type { WorkerUser } from './user.ts';

/** The first descriptor a worker is lent is its end of the line for descriptors (NAMESPACE_LINE_FD). */
const FIRST_LISTENER_FD = FIRST_LENT_FD + 1;
/** Its channel is closed with it, unless it was taken over and has given it to somebody who keeps it open. */
const LAST_WORDS_MS = 1_000;
/** How a worker ends that was told to stop. */
export const ORDERLY_END = 'exit code 0';

export interface PoolListener {
  /** The daemon's descriptor. */
  readonly fd: number;
  readonly family: 4 | 6;
}

export interface ProcessEvents {
  /** An object, and beyond that anything. */
  readonly onMessage: (process: WorkerProcess, claim: Readonly<Record<string, unknown>>) => void;
  /** Told once. */
  readonly onEnd: (process: WorkerProcess, how: string) => void;
}

export interface StartOptions {
  /** Never given twice in the life of a daemon: two processes may have one number, one of them being drained. */
  readonly key: number;
  readonly number: number;
  readonly user: WorkerUser;
  readonly listeners: readonly PoolListener[];
  readonly policy: CompiledPolicy;
  readonly maxFlows: number;
  readonly busyPollUs: number;
}

/** A worker that was retired, on its way from one daemon to the next. */
export interface HandedWorker {
  readonly number: number;
  readonly pid: number;
  readonly openFlows: number;
  /** Its flows are cut at this time of the clock, Unix milliseconds. */
  readonly drainUntilMs: number;
  readonly channelFd: number;
  readonly processFd: number;
  /** Of the flows it tells of. */
  readonly flowLayout: FlowLayout;
}

export class WorkerProcess {
  readonly key: number;
  readonly number: number;
  readonly pid: number;
  readonly startedMs = performance.now();
  /** It takes connections. */
  ready = false;
  /** It takes none any more and needs nothing of the daemon; told `adopted` it goes on reporting. */
  retired = false;
  /** It has said all it will. */
  drained = false;
  ended = false;
  openFlows = 0;
  accepted = 0;
  refused = 0;
  outOfDescriptors = false;
  /** performance.now(): what ended before that it has reported. */
  toldUntilMs = 0;
  revision: string | null = null;
  drainUntilMs = 0;
  #flowLayout = presentFlowLayout;
  /** It was told to stop. */
  #stopping = false;
  /** An earlier daemon's, which may have been of another version. */
  #isOfEarlier = false;
  readonly #events: ProcessEvents;
  readonly #kill: () => void;
  #channelSocket: Socket | null = null;
  #channel: Channel | null = null;
  /** Our end of the line for descriptors. */
  #line: number | null = null;

  private constructor(key: number, number: number, pid: number, events: ProcessEvents, kill: () => void) {
    this.key = key;
    this.number = number;
    this.pid = pid;
    this.#events = events;
    this.#kill = kill;
  }

  static start(options: StartOptions, events: ProcessEvents): WorkerProcess {
    const { key, number, user, listeners, policy, maxFlows, busyPollUs } = options;
    const [line, workersLine] = descriptorPair();
    const child = startUnprivileged('worker', user, [workersLine, ...listeners.map(({ fd }) => fd)]);
    closeFd(workersLine);
    const started = WorkerProcess.around(child, key, number, events);
    started.#line = line;
    started.revision = policy.revision;
    const handles = listeners.map(
      ({ family }, index): ListenerHandle => ({ fd: FIRST_LISTENER_FD + index, family }),
    );
    started.send({ type: 'init', worker: number, policy, listeners: handles, maxFlows, busyPollUs });
    return started;
  }

  /** @param child with its end of the channel at CHANNEL_FD. @param lastWordsMs how long that is waited for after its end */
  static around(
    child: ChildProcess,
    key: number,
    number: number,
    events: ProcessEvents,
    lastWordsMs = LAST_WORDS_MS,
  ): WorkerProcess {
    const started = new WorkerProcess(key, number, child.pid ?? 0, events, () => child.kill('SIGKILL'));
    started.#openChannel(channelOf(child));
    child.on('error', (error) => started.#end(error.message));
    child.on('exit', (code, signal) => started.#exited(signal ?? `exit code ${code}`, lastWordsMs));
    child.on('close', (code, signal) => started.#end(signal ?? `exit code ${code}`));
    return started;
  }

  /** Takes over one that an earlier daemon has retired, and lets it go on. */
  static adopt(key: number, handed: HandedWorker, events: ProcessEvents): WorkerProcess {
    const handle = new ProcessHandle(handed.processFd);
    const adopted = new WorkerProcess(key, handed.number, handed.pid, events, () => handle.kill());
    adopted.retired = true;
    adopted.openFlows = handed.openFlows;
    adopted.drainUntilMs = handed.drainUntilMs;
    adopted.#flowLayout = handed.flowLayout;
    adopted.#isOfEarlier = true;
    // Its channel is what tells of its end: it is not this process's child, or Node does not know of it.
    adopted.#openChannel(new Socket({ fd: handed.channelFd, readable: true, writable: true }), () => {
      void handle.end();
      adopted.#end('its channel was closed');
    });
    adopted.send({ type: 'adopted' });
    return adopted;
  }

  /** Tells it to end its flows, report them and exit. */
  stop(): void {
    this.#stopping = true;
    this.send({ type: 'stop' });
  }

  #openChannel(socket: Socket | null, onClose: () => void = this.#closed): void {
    if (socket === null) return;
    this.#channelSocket = socket;
    this.#channel = new Channel(socket, MAX_WORKER_FRAME_BYTES, {
      onMessage: (message) => {
        if (this.ended || typeof message !== 'object' || message === null) return;
        this.#events.onMessage(this, { ...message });
      },
      // Whatever made it break the rules, it is no worker of ours any more.
      onViolation: this.kill,
      onClose,
    });
  }

  readonly kill = (): void => {
    if (!this.ended) this.#kill();
  };

  /** A worker without a line must not go on. One that was told to stop closes it, and is about to exit: whoever waits for that kills it. */
  readonly #closed = (): void => {
    if (!this.#stopping) this.kill();
  };

  send(message: DaemonMessage): void {
    this.#channel?.send(message);
  }

  /** The flows it says have ended, whatever they are; those of an earlier version as this one has them. */
  presentFlows(claims: readonly unknown[]): readonly unknown[] {
    if (!this.#isOfEarlier) return claims;
    const read = this.#flowLayout === presentFlowLayout ? null : flowReader(this.#flowLayout);
    return claims.map((claim) => presentReport(claim, read));
  }

  /** Hands it descriptors; it gets duplicates. */
  sendDescriptors(message: Buffer, fds: readonly number[]): void {
    // A line that is full has not been read for hundreds of messages. The next worker is told everything anew.
    if (this.#line !== null && !sendDescriptors(this.#line, message, fds)) this.kill();
  }

  /** Lets it exit: it has nothing more to do. */
  dismiss(): void {
    this.drained = true;
    this.#channel?.end();
  }

  /**
   * What the next daemon needs to adopt it; null when it has said all it will, or has just ended. The descriptors are duplicates: it
   * may end until that daemon is there, and its channel is closed here then.
   */
  handOver(): HandedWorker | null {
    const fd = this.#channelSocket === null ? null : fdOf(this.#channelSocket);
    if (this.ended || this.drained || fd === null) return null;
    const channelFd = duplicateFd(fd);
    const { number, pid, openFlows, drainUntilMs } = this;
    const processFd = ProcessHandle.open(pid).fd;
    return { number, pid, openFlows, drainUntilMs, channelFd, processFd, flowLayout: this.#flowLayout };
  }

  /** What it has said before may still be in its channel, and is heard first: that it has let pass what was approved, above all. */
  #exited(how: string, lastWordsMs: number): void {
    const end = (): void => {
      this.#end(how);
      this.#channelSocket?.destroy();
    };
    // The clock's word comes before the channel's where this process was kept from both: it is read once more.
    setTimeout(() => setImmediate(end), lastWordsMs).unref();
  }

  #end(how: string): void {
    if (this.ended) return;
    this.ended = true;
    this.#channel = null;
    if (this.#line !== null) closeFd(this.#line);
    this.#line = null;
    this.#events.onEnd(this, how);
  }
}

function channelOf(child: ChildProcess): Socket | null {
  const socket = child.stdio[CHANNEL_FD];
  return socket instanceof Socket ? socket : null;
}
