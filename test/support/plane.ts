/**
 * The kernel plane alone, with listeners in the test itself in place of workers: what the programs do is looked at
 * without a proxy in between. Agents are Python processes in a cgroup of the test's.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { openDnsSockets, openListeners } from '#src/daemon/listeners.ts';
import { cgroupId, findCgroup2, moveSelf, ownCgroup, removeCgroup } from '#src/kernel/cgroup.ts';
import { type Datagram, DatagramSockets } from '#src/kernel/datagrams.ts';
import type { EnrolmentTables } from '#src/kernel/enrolment.ts';
import type { KernelEvent } from '#src/kernel/events.ts';
import type { FlowFacts } from '#src/kernel/facts.ts';
import { removePins } from '#src/kernel/pins.ts';
import { KernelPlane } from '#src/kernel/plane.ts';
import { EventRing } from '#src/kernel/ring.ts';
import type { TableSizes } from '#src/kernel/tables.ts';
import { readFlow } from '#src/kernel/worker.ts';
import { fdOf } from '#src/proxy/socket-fd.ts';
import { type Finished, run, until } from '#test/support/command.ts';
import { takeHostLock } from '#test/support/host-lock.ts';

export const AGENT_ID = 77;
export const UNKNOWN_ID = 78;
export const PIN_DIRECTORY = `/sys/fs/bpf/sluice-test-${process.pid}`;
const CGROUP = `/sluice-test-${process.pid}`;

export const NO_TABLES: EnrolmentTables = {
  cgroups: [],
  uids: [],
  exes: [],
  places: [],
  closedSockets: { files: [], places: [] },
  dns: false,
  inbound: [],
};

export interface Accepted {
  readonly facts: FlowFacts | null;
  readonly socket: Socket;
  /** Where it was sent to: the proxy's port, or the forwarder's. */
  readonly port: number | undefined;
}

/** How many connections wait to be accepted at listeners on `ports` (proc_net_tcp.txt: rx_queue in state 0A). */
function waiting(ports: readonly number[]): number {
  let count = 0;
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const [, port = '', queued = ''] of readFileSync(file, 'latin1').matchAll(
      /^ *\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:0000 0A [0-9A-F]{8}:([0-9A-F]{8})/gm,
    ))
      if (ports.includes(Number.parseInt(port, 16))) count += Number.parseInt(queued, 16);
  }
  return count;
}

export class PlaneFixture {
  readonly plane: KernelPlane;
  readonly events: KernelEvent[] = [];
  readonly accepted: Accepted[] = [];
  readonly cgroupRoot: string;
  readonly agentCgroup = `${CGROUP}/agent`;
  /** Of the proxy. */
  readonly ports: readonly number[];
  /** Of the forwarder. In force once `enrol` was called with `dns`. */
  readonly dnsPort: number;
  /** What agents asked it. Each is answered by what it said, after `answer to `. */
  readonly asked: Datagram[] = [];
  readonly #forwarder = new DatagramSockets(4096, (datagram) => this.#answer(datagram));
  #rings: readonly EventRing[] = [];
  /** Whether an event is to stay in its ring. */
  holds: (event: KernelEvent) => boolean = () => false;
  readonly #servers: Server[];
  readonly #home: string;
  readonly #unlock: () => Promise<void>;

  private constructor(unlock: () => Promise<void>, ports: number, tableSizes: TableSizes) {
    this.#unlock = unlock;
    this.cgroupRoot = findCgroup2();
    this.#home = ownCgroup();
    moveSelf(`${this.cgroupRoot}${CGROUP}/self`);
    mkdirSync(this.directory, { recursive: true });
    this.plane = KernelPlane.load({
      pinDirectory: PIN_DIRECTORY,
      cgroupRoot: this.cgroupRoot,
      workerUid: 65534,
      selfCgroupId: cgroupId(`${this.cgroupRoot}${CGROUP}/self`),
      unknownAgentId: UNKNOWN_ID,
      tableSizes,
    });
    // As the daemon opens them: a port that is free for one family or protocol may be taken for another.
    const listen =
      (backlog: number) =>
      (ip: string, port: number): { readonly fd: number; readonly port: number } =>
        this.plane.listen(ip, port, backlog);
    const { ports: proxyPorts, byWorker } = openListeners(listen(512), 1, ports);
    this.ports = proxyPorts;
    this.plane.setProxyPorts(this.ports);
    const bind = (ip: string, port: number): ReturnType<KernelPlane['listenUdp']> =>
      this.plane.listenUdp(ip, port);
    const dns = openDnsSockets(bind, listen(16), ['127.0.0.1', '::1']);
    this.dnsPort = dns.port;
    for (const { fd } of dns.datagrams) this.#forwarder.add(fd);
    this.plane.setForwarderPort(dns.port);
    this.enrol({ ...NO_TABLES, cgroups: [{ path: this.agentCgroup, agentId: AGENT_ID }] });
    this.plane.attach();
    this.openRings();
    this.#servers = [...byWorker.flat(), ...dns.listeners].map(({ fd }) =>
      createServer((socket) => this.#accept(socket)).listen({ fd }),
    );
  }

  /** @param ports of the proxy */
  static async open(ports = 1, tableSizes: TableSizes = {}): Promise<PlaneFixture> {
    const unlock = await takeHostLock();
    clearLeftovers();
    try {
      return new PlaneFixture(unlock, ports, tableSizes);
    } catch (error) {
      removePins(PIN_DIRECTORY);
      await unlock();
      throw error;
    }
  }

  /** The proxy's, or its first. */
  get port(): number {
    return this.ports[0] ?? 0;
  }

  get directory(): string {
    return `${this.cgroupRoot}${this.agentCgroup}`;
  }

  /** Reads the rings anew, as the next daemon does. */
  openRings(): void {
    for (const ring of this.#rings) ring.close();
    const onEvent = (event: KernelEvent): boolean => {
      this.events.push(event);
      return this.holds(event);
    };
    this.#rings = (['sluice_ring_flow', 'sluice_ring_deny'] as const).map(
      (name) => new EventRing(PIN_DIRECTORY, name, onEvent),
    );
  }

  /** As the daemon when a record is stored. */
  settled(id: string): void {
    for (const ring of this.#rings) {
      ring.settled(id);
      ring.release();
    }
  }

  enrol(tables: EnrolmentTables): void {
    this.plane.setEnrolment(tables);
  }

  #accept(socket: Socket): void {
    const fd = fdOf(socket);
    this.accepted.push({
      facts: fd === null ? null : (readFlow(fd)?.facts ?? null),
      socket,
      port: socket.localPort,
    });
    socket.on('error', () => undefined);
    socket.end('hello from the proxy');
  }

  #answer(datagram: Datagram): void {
    this.asked.push(datagram);
    datagram.answer(Buffer.concat([Buffer.from('answer to '), datagram.bytes]));
  }

  /** Closes the forwarder's sockets, as one that dies with its daemon does. */
  stopForwarding(): void {
    this.#forwarder.close();
  }

  /**
   * Runs a Python program as a process of the agent's cgroup from its first instruction on, and takes in all the
   * connections it leaves: who made one may have ended before this process has accepted it.
   */
  agent(script: string, ...args: string[]): Promise<Finished> {
    return this.agentIn(this.directory, script, ...args);
  }

  async agentIn(directory: string, script: string, ...args: string[]): Promise<Finished> {
    const done = await run(pythonIn(directory, script, ...args));
    await this.allAccepted();
    return done;
  }

  /** Waits until no connection waits to be accepted. */
  allAccepted(): Promise<true> {
    return until('connections to be accepted', () => waiting([...this.ports, this.dnsPort]) === 0);
  }

  /** Clears what was seen, so that a test looks at its own events only. */
  reset(): void {
    for (const ring of this.#rings) ring.drain();
    this.events.length = 0;
    this.accepted.length = 0;
    this.asked.length = 0;
  }

  /** Events of `kind` there are by now: what the kernel has refused it has told already. */
  seen(kind: KernelEvent['kind']): readonly KernelEvent[] {
    for (const ring of this.#rings) ring.drain();
    return this.events.filter((event) => event.kind === kind);
  }

  /** Waits until `count` events of `kind` have come, and gives all there are then. */
  waitFor(kind: KernelEvent['kind'], count = 1): Promise<readonly KernelEvent[]> {
    return until(`${count} events of kind ${kind}`, () => {
      const found = this.seen(kind);
      return found.length >= count && found;
    });
  }

  /** Closes the listeners, as a daemon that dies does. */
  stopListening(): void {
    for (const server of this.#servers) server.close();
  }

  async close(): Promise<void> {
    for (const { socket } of this.accepted) socket.destroy();
    this.stopListening();
    this.stopForwarding();
    for (const ring of this.#rings) ring.close();
    this.plane.close();
    removePins(PIN_DIRECTORY);
    moveSelf(`${this.cgroupRoot}${this.#home}`);
    removeCgroup(`${this.cgroupRoot}${CGROUP}`);
    await this.#unlock();
  }
}

/** A Python program as a process of the cgroup at `directory` from its first instruction on. */
export function pythonIn(directory: string, script: string, ...args: string[]): [string, ...string[]] {
  const enter = 'echo 0 > "$0/cgroup.procs" && exec /usr/bin/python3 -u -c "$@"';
  return ['sh', '-c', enter, directory, script, ...args];
}

/** Cgroups of tests that were killed: their names carry the pid. */
function clearLeftovers(): void {
  const root = findCgroup2();
  for (const name of readdirSync(root)) {
    const pid = /^sluice-test-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeCgroup(`${root}/${name}`);
  }
}
