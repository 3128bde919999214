/**
 * Agents in network namespaces other than the daemon's: opens a marked listener in each while an agent is in it,
 * lends it to a few workers, opens the forwarder's sockets beside it, and makes the sockets by which workers reach
 * servers from there.
 *
 * Rules:
 * - An open listener keeps its namespace alive, so it may not stay longer than the agents. Of each namespace one
 *   process is remembered as *witness*; when it has ended or left, another is looked for among the tagged
 *   processes, and without one all is closed. Closing too early costs nothing but a moment: the next connection
 *   is held by the kernel plane until there is a listener again.
 * - A namespace that an unprivileged user made for itself is refused: with every right in it, it could turn a
 *   worker's connection elsewhere. So is one beyond the bounds. No listener, no connection.
 * - What is asked by the ring or by a worker is a claim: the namespace is opened through /proc and must have the
 *   cookie that was named.
 */
import type { Clock } from '../core/clock.ts';
import { errnoOf, messageOf } from '../core/errors.ts';
import { type NamespaceHandle, namespaceText } from '../kernel/namespace.ts';
import type { EarlyQuestion, NamespaceEvent, NamespaceState } from '../kernel/namespace-layout.ts';
import { encodeNamespaceMessage } from '../proxy/namespace-line.ts';
import { SOCKETS_MAX } from '../proxy/socket-pool.ts';

/**
 * A worker has two listeners for each port, and a few sockets, in each, the forwarder four: some ten thousand descriptors
 * by default.
 */
const MAX_NAMESPACES = 256;
/** Workers in one namespace: enough for a container, few enough that many containers on many cores are affordable. */
const WORKERS_PER_NAMESPACE = 4;
/** The kernel asks again about a refused one after this long: limits may have room by then. */
const REFUSED_NS = 1_000_000_000n;
const FOREVER_NS = 2n ** 64n - 1n;
/** A look through all processes may take a twentieth of the time, however many there are. */
const SEARCH_PAUSE_FACTOR = 20;
const BACKLOG = 4096;
/** DNS over TCP is the exception. */
const DNS_BACKLOG = 256;
/** As many digits as 2^64 has. */
const COOKIE = /^\d{1,20}$/;

export interface NamespacesOptions {
  readonly home: { readonly cookie: bigint; readonly inode: number };
  /** Number of workers. */
  readonly workers: number;
  /** The proxy's ports, the same everywhere. */
  readonly ports: readonly number[];
  /** The forwarder's. */
  readonly dnsPort: number;
  /** Opens the namespace a task is in; throws when it is gone. */
  readonly open: (tid: number) => NamespaceHandle;
  /** Inode of the namespace a task is in now. */
  readonly inodeOf: (tid: number) => number | null;
  readonly listen: (ip: string, port: number, backlog: number, netns: number) => { readonly fd: number };
  readonly listenUdp: (ip: string, port: number, netns: number) => { readonly fd: number };
  readonly makeSockets: (netns: number, family: 4 | 6, count: number) => readonly number[];
  readonly closeFd: (fd: number) => void;
  /** Tells the kernel plane. */
  readonly setState: (cookie: bigint, state: NamespaceState, quietUntilNs: bigint) => void;
  readonly forget: (cookie: bigint) => void;
  readonly taggedPids: () => readonly number[];
  /** Hands a worker a message with descriptors; one that is not running gets nothing. */
  readonly toWorker: (worker: number, message: Buffer, fds: readonly number[]) => void;
  /** The same for the forwarder. */
  readonly toForwarder: (message: Buffer, fds: readonly number[]) => void;
  /** CLOCK_BOOTTIME. */
  readonly nowNs: () => bigint;
  readonly clock: Clock;
  readonly log: (message: string) => void;
}

export interface Lent {
  readonly worker: number;
  readonly fds: readonly number[];
  readonly families: readonly (4 | 6)[];
}

/** The forwarder's: datagram sockets, and as many listeners. */
interface DnsSockets {
  readonly datagrams: readonly number[];
  readonly listeners: readonly number[];
}

interface Served {
  readonly handle: NamespaceHandle;
  readonly lent: readonly Lent[];
  readonly dns: DnsSockets;
  /** A task that was there when last looked at; 0: one has to be found. */
  witness: number;
}

/** What the next daemon needs to go on serving one. */
export type ServedState = Omit<Served, 'witness'>;

export interface ServedNamespace {
  readonly netns: string;
  readonly addresses: readonly string[];
}

export type NamespaceCounters = Readonly<
  Record<'served' | 'opened' | 'refused_owner' | 'refused_limit' | 'refused_error', number>
>;

export class Namespaces {
  readonly #options: NamespacesOptions;
  readonly #served = new Map<bigint, Served>();
  readonly #counters = { opened: 0, refused_owner: 0, refused_limit: 0, refused_error: 0 };
  #turn = 0;
  #searchAfterMs = 0;

  constructor(options: NamespacesOptions) {
    this.#options = options;
  }

  /** An agent was seen in a namespace without a listener; it may have asked the forwarder something there. */
  wanted({ cookie, tid, question }: NamespaceEvent): void {
    if (cookie === this.#options.home.cookie) return;
    this.#open(cookie, tid);
    if (question !== null && this.#served.has(cookie)) this.#passOn(cookie, question);
  }

  #passOn(netnsCookie: bigint, { sender, port, flow, bytes }: EarlyQuestion): void {
    const message = encodeNamespaceMessage({
      type: 'question',
      netnsCookie,
      sender: sender.toString('hex'),
      port,
      flow: flow.toString('hex'),
      bytes: bytes.toString('base64'),
    });
    this.#options.toForwarder(message, []);
  }

  #open(cookie: bigint, tid: number): void {
    const served = this.#served.get(cookie);
    if (served !== undefined) {
      this.#options.setState(cookie, 'open', FOREVER_NS);
      return;
    }
    const handle = this.#enter(tid);
    if (handle?.cookie === cookie) {
      this.#serve(handle, tid);
      return;
    }
    // The task has ended or left since. Whoever is still there, or waits for a listener, is asked about again.
    if (handle !== null) this.#options.closeFd(handle.fd);
    this.#options.forget(cookie);
  }

  #enter(tid: number): NamespaceHandle | null {
    try {
      return this.#options.open(tid);
    } catch (error) {
      const ended = ['ENOENT', 'ESRCH'].includes(errnoOf(error) ?? '');
      if (!ended) this.#options.log(`the network namespace of process ${tid}: ${messageOf(error)}`);
      return null;
    }
  }

  #serve(handle: NamespaceHandle, tid: number): void {
    const { cookie, inode, fd, ownerUid } = handle;
    const where = namespaceText(inode);
    if (ownerUid !== null && ownerUid !== 0) {
      this.#refuse(
        handle,
        'refused_owner',
        `${where} was made by user ${ownerUid}: its agents cannot connect`,
      );
      return;
    }
    if (this.#served.size >= MAX_NAMESPACES) {
      this.#refuse(handle, 'refused_limit', `${where} is one too many: its agents cannot connect`);
      return;
    }
    const opened: number[] = [];
    try {
      // First of all: a question that comes too early is lost, where a connection waits.
      const dns = this.#openDns(fd, opened);
      const lent = this.#assigned().map((worker) => this.#openFor(worker, fd, opened));
      this.#served.set(cookie, { handle, lent, dns, witness: tid });
      this.#lendDns(cookie, dns);
      for (const one of lent) this.#lend(cookie, one);
    } catch (error) {
      for (const listener of opened) this.#options.closeFd(listener);
      this.#refuse(handle, 'refused_error', `no listener in ${where}: ${messageOf(error)}`);
      return;
    }
    this.#counters.opened += 1;
    this.#options.setState(cookie, 'open', FOREVER_NS);
  }

  /** In turn, so that namespaces are spread over the workers. */
  #assigned(): number[] {
    const { workers } = this.#options;
    const count = Math.min(workers, WORKERS_PER_NAMESPACE);
    const first = this.#turn;
    this.#turn = (first + count) % workers;
    return Array.from({ length: count }, (_, index) => (first + index) % workers);
  }

  #openFor(worker: number, netns: number, opened: number[]): Lent {
    const { listen, ports } = this.#options;
    const both = ports.flatMap((port) => inBothFamilies((ip) => listen(ip, port, BACKLOG, netns), opened));
    return { worker, fds: both.map(({ fd }) => fd), families: both.map(({ family }) => family) };
  }

  #openDns(netns: number, opened: number[]): DnsSockets {
    const { listen, listenUdp, dnsPort } = this.#options;
    const fdsOf = (open: (ip: string) => { readonly fd: number }): number[] =>
      inBothFamilies(open, opened).map(({ fd }) => fd);
    return {
      datagrams: fdsOf((ip) => listenUdp(ip, dnsPort, netns)),
      listeners: fdsOf((ip) => listen(ip, dnsPort, DNS_BACKLOG, netns)),
    };
  }

  #lendDns(netnsCookie: bigint, { datagrams, listeners }: DnsSockets): void {
    const message = encodeNamespaceMessage({ type: 'forward', netnsCookie, datagrams: datagrams.length });
    this.#options.toForwarder(message, [...datagrams, ...listeners]);
  }

  #lend(cookie: bigint, { worker, fds, families }: Lent): void {
    const message = encodeNamespaceMessage({ type: 'listen', netnsCookie: cookie, families });
    this.#options.toWorker(worker, message, fds);
  }

  #refuse(
    handle: NamespaceHandle,
    counter: 'refused_owner' | 'refused_limit' | 'refused_error',
    why: string,
  ): void {
    this.#options.closeFd(handle.fd);
    this.#options.setState(handle.cookie, 'refused', this.#options.nowNs() + REFUSED_NS);
    this.#counters[counter] += 1;
    // Asked again and again: the log is told of the first few, the counters tell of all.
    if (this.#counters[counter] <= 3) this.#options.log(`network namespace ${why}`);
  }

  /** A worker takes connections now: it gets the listeners that are its own. */
  workerReady(worker: number): void {
    for (const [cookie, { lent }] of this.#served)
      for (const one of lent) if (one.worker === worker) this.#lend(cookie, one);
  }

  /** The forwarder answers now: it gets its sockets everywhere. */
  forwarderReady(): void {
    for (const [cookie, { dns }] of this.#served) this.#lendDns(cookie, dns);
  }

  /** A worker asks for sockets. What it says is checked: it reads hostile bytes. */
  socketsFor(
    worker: number,
    claim: Readonly<Record<string, unknown>>,
    reply: (message: Buffer, fds: readonly number[]) => void,
  ): void {
    const { netnsCookie, family, count } = claim;
    if (typeof netnsCookie !== 'string' || !COOKIE.test(netnsCookie) || (family !== 4 && family !== 6))
      return;
    if (typeof count !== 'number' || !Number.isInteger(count) || count < 1 || count > SOCKETS_MAX) return;
    const cookie = BigInt(netnsCookie);
    const served = this.#served.get(cookie);
    if (served?.lent.some((one) => one.worker === worker) !== true) {
      reply(encodeNamespaceMessage({ type: 'close', netnsCookie: cookie }), []);
      return;
    }
    try {
      const fds = this.#options.makeSockets(served.handle.fd, family, count);
      reply(encodeNamespaceMessage({ type: 'sockets', netnsCookie: cookie, family }), fds);
      for (const fd of fds) this.#options.closeFd(fd);
    } catch (error) {
      this.#options.log(`no sockets in ${namespaceText(served.handle.inode)}: ${messageOf(error)}`);
    }
  }

  /** Serves every namespace a tagged process is in already: after a start, and when policy has other agents. */
  search(): void {
    for (const served of this.#served.values()) served.witness = 0;
    const { inodes } = this.#look();
    const known = new Set([...this.#served.values()].map(({ handle }) => handle.inode));
    for (const [inode, pid] of inodes) {
      const handle = known.has(inode) ? null : this.#enter(pid);
      if (handle !== null) this.#serve(handle, pid);
    }
    this.#settle(inodes);
  }

  /** Closes what no agent is in any more. To be called every second or so. */
  tick(): void {
    let lost = false;
    for (const served of this.#served.values()) {
      const there = served.witness !== 0 && this.#options.inodeOf(served.witness) === served.handle.inode;
      if (!there) {
        served.witness = 0;
        lost = true;
      }
    }
    if (!lost || this.#options.clock.monotonic() < this.#searchAfterMs) return;
    const { inodes, tookMs } = this.#look();
    this.#searchAfterMs = this.#options.clock.monotonic() + tookMs * SEARCH_PAUSE_FACTOR;
    this.#settle(inodes);
  }

  /** For each namespace the oldest of its tagged processes, by and large: the likeliest to stay. */
  #look(): { readonly inodes: ReadonlyMap<number, number>; readonly tookMs: number } {
    const begunMs = this.#options.clock.monotonic();
    const inodes = new Map<number, number>();
    for (const pid of this.#options.taggedPids()) {
      const inode = this.#options.inodeOf(pid);
      if (inode === null || inode === this.#options.home.inode) continue;
      inodes.set(inode, Math.min(pid, inodes.get(inode) ?? pid));
    }
    return { inodes, tookMs: this.#options.clock.monotonic() - begunMs };
  }

  #settle(inodes: ReadonlyMap<number, number>): void {
    for (const [cookie, served] of this.#served) {
      if (served.witness !== 0) continue;
      const witness = inodes.get(served.handle.inode);
      if (witness === undefined) this.#close(cookie, served);
      else served.witness = witness;
    }
  }

  #close(cookie: bigint, { handle, lent, dns }: Served): void {
    this.#served.delete(cookie);
    this.#options.forget(cookie);
    const message = encodeNamespaceMessage({ type: 'close', netnsCookie: cookie });
    for (const { worker, fds } of lent) {
      this.#options.toWorker(worker, message, []);
      for (const fd of fds) this.#options.closeFd(fd);
    }
    this.#options.toForwarder(message, []);
    for (const fd of [...dns.datagrams, ...dns.listeners]) this.#options.closeFd(fd);
    this.#options.closeFd(handle.fd);
  }

  handOver(): ServedState[] {
    return [...this.#served.values()].map(({ handle, lent, dns }) => ({ handle, lent, dns }));
  }

  /** Goes on with what an earlier daemon served; a witness is looked for at the next search. */
  adopt(states: readonly ServedState[]): void {
    for (const { handle, lent, dns } of states) {
      // There may be fewer workers than there were.
      const lentNow = lent.map((one) => ({ ...one, worker: one.worker % this.#options.workers }));
      this.#served.set(handle.cookie, { handle, lent: lentNow, dns, witness: 0 });
      for (const one of lentNow) this.#lend(handle.cookie, one);
      this.#lendDns(handle.cookie, dns);
      this.#options.setState(handle.cookie, 'open', FOREVER_NS);
    }
  }

  /** Closes them all: the daemon is stopping. */
  close(): void {
    for (const [cookie, served] of this.#served) this.#close(cookie, served);
  }

  served(): readonly ServedNamespace[] {
    return [...this.#served.values()].map(({ handle, lent }) => ({
      netns: namespaceText(handle.inode),
      addresses: [...new Set(lent[0]?.families)].map((family) => (family === 4 ? '127.0.0.1' : '::1')),
    }));
  }

  counters(): NamespaceCounters {
    return { served: this.#served.size, ...this.#counters };
  }
}

/** Opens a socket on either loopback address; `opened` hears of each at once, for what comes after may fail. */
function inBothFamilies(
  open: (ip: string) => { readonly fd: number },
  opened: number[],
): readonly { readonly fd: number; readonly family: 4 | 6 }[] {
  const sockets: { readonly fd: number; readonly family: 4 | 6 }[] = [];
  for (const family of [4, 6] as const) {
    try {
      const { fd } = open(family === 4 ? '127.0.0.1' : '::1');
      opened.push(fd);
      sockets.push({ fd, family });
    } catch (error) {
      // A kernel without IPv6.
      if (family === 4 || errnoOf(error) !== 'EAFNOSUPPORT') throw error;
    }
  }
  return sockets;
}
