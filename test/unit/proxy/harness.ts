/**
 * A worker in this process, on loopback, with scripted servers behind it and a kernel that is a parameter: what
 * the tests of the proxy share.
 *
 * Sockets and TLS are real. The one thing pretended is `readFlow`: it says that the agent asked for `target`.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import type { WorkerFlowReport } from '#src/flow/record.ts';
import { closeFd } from '#src/kernel/descriptors.ts';
import type { FlowFacts, KernelFlow } from '#src/kernel/facts.ts';
import { agentId } from '#src/policy/agent-id.ts';
import type { CompiledDestination, CompiledPolicy, CompiledRule } from '#src/policy/types.ts';
import type { ReportedFlow, WorkerMessage } from '#src/proxy/ipc.ts';
import { Worker } from '#src/proxy/worker.ts';
import { SERVER_NAME } from '#test/support/certificates.ts';
import { flowBytes } from '#test/support/flow-bytes.ts';

export type Teardown = (end: () => unknown) => void;

/** What a test server does with one connection. */
export type Script<S extends Socket> = (socket: S) => void;

export interface TestServer {
  readonly port: number;
  /** Everything any connection of it received, before TLS where it has TLS. */
  received(): Buffer;
  readonly connections: number;
}

/** A TCP server on loopback that keeps all it receives. */
export async function plainServer(teardown: Teardown, script: Script<Socket>): Promise<TestServer> {
  const chunks: Buffer[] = [];
  let connections = 0;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    connections += 1;
    socket.on('error', ignore);
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    script(socket);
  });
  const port = await listen(server, teardown);
  return {
    port,
    received: () => Buffer.concat(chunks),
    get connections() {
      return connections;
    },
  };
}

export async function tlsServer(
  teardown: Teardown,
  options: TlsOptions,
  script: Script<TLSSocket>,
): Promise<number> {
  const server = createTlsServer({ allowHalfOpen: true, ...options } as TlsOptions, (socket) => {
    socket.on('error', ignore);
    script(socket);
  });
  server.on('tlsClientError', ignore);
  return await listen(server, teardown);
}

async function listen(server: Server, teardown: Teardown): Promise<number> {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.on('error', ignore);
    socket.on('close', () => open.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  teardown(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

export function ignore(): void {
  // Tests break connections on purpose.
}

export function destination(changes: Partial<CompiledDestination> = {}): CompiledDestination {
  return {
    name: 'server',
    hosts: [],
    ranges: [],
    ports: [],
    protocol: 'auto',
    tls: {
      serverName: SERVER_NAME,
      ca: null,
      minVersion: 'TLSv1.2',
      negotiation: 'postgres',
      clientCertificate: null,
    },
    portMap: {},
    ...changes,
  };
}

export function rule(changes: Partial<CompiledRule> = {}): CompiledRule {
  return {
    name: 'allow-server',
    agents: [],
    destinations: ['server'],
    action: 'allow',
    passthrough: false,
    replication: false,
    reason: null,
    ...changes,
  };
}

export function policy(
  destinations: readonly CompiledDestination[],
  rules: readonly CompiledRule[],
  changes: Partial<CompiledPolicy> = {},
): CompiledPolicy {
  return {
    revision: 'aaaaaaaaaaaa',
    trustDomain: 'example.test',
    spiffeTemplate: 'spiffe://{trust_domain}/{agent}',
    resolvers: null,
    dns: {
      names: 'any',
      nameLife: { graceSeconds: 30, maxSeconds: 3600 },
      queriesPerSecond: 500,
      record: 'all',
    },
    agents: [{ id: agentId('tester'), name: 'tester', groups: [], enrolments: [] }],
    destinations,
    rules,
    operations: [],
    masks: [],
    detectors: [],
    maskKeys: [],
    inbound: [],
    enforcement: { minimum: 'base' },
    closedSockets: [],
    // None passes because the machine is busy.
    limits: { detectTimeoutMs: 120_000, connectTimeoutMs: 120_000, handshakeTimeoutMs: 120_000 },
    ...changes,
  };
}

export interface Target {
  readonly ip?: string;
  readonly port: number;
  /** Name of who connects. */
  readonly agent?: string;
}

/** Stands for a listener of the daemon's; nobody listens on it. */
const LENT_FD = -1;

let lastId = 0;

export function facts({ ip = '127.0.0.1', port, agent = 'tester' }: Target): FlowFacts {
  lastId += 1;
  return {
    id: lastId.toString(16).padStart(16, '0'),
    startNs: 1n,
    netnsCookie: 1n,
    cgroupId: 1n,
    taskStartNs: 1n,
    exeInode: 1n,
    exeDev: 1,
    pid: process.pid,
    uid: 1000,
    gid: 1000,
    agentId: agentId(agent),
    dstIp: ip,
    dstPort: port,
    family: 4,
  };
}

function kernelFlow(target: Target): KernelFlow {
  const decoded = facts(target);
  return { facts: decoded, text: flowBytes(decoded).toString('hex') };
}

/** A worker with one listener, and agents that connect to it. */
export class TestProxy {
  readonly worker: Worker;
  readonly messages: WorkerMessage[] = [];
  /** Where the kernel says agents wanted to go; null: it knows nothing of the connection. */
  target: Target | null = null;
  /** Stands for the daemon. */
  told: ((message: WorkerMessage) => void) | null = null;
  #port = 0;
  readonly #flows: ReportedFlow[] = [];
  readonly #waiting: ((flow: ReportedFlow) => void)[] = [];
  readonly #agents = new Set<Socket>();

  constructor(options: { readonly systemCa?: string; readonly limits?: string } = {}) {
    this.worker = new Worker({
      send: (message, onSent) => {
        this.#onMessage(message);
        onSent?.();
      },
      readFlow: () => (this.target === null ? null : kernelFlow(this.target)),
      closeFd: (fd) => {
        if (fd !== LENT_FD) closeFd(fd);
      },
      duplicateFd: (fd) => fd,
      systemCa: () => options.systemCa ?? '',
      listen: (server) => {
        server.listen(0, '127.0.0.1', () => {
          this.#port = (server.address() as AddressInfo).port;
        });
      },
      ...(options.limits === undefined ? {} : { limits: () => options.limits ?? '' }),
    });
  }

  static async start(
    teardown: Teardown,
    compiled: CompiledPolicy,
    options: { readonly systemCa?: string; readonly limits?: string; readonly maxFlows?: number } = {},
  ): Promise<TestProxy> {
    const proxy = new TestProxy(options);
    await proxy.worker.handle({
      type: 'init',
      worker: 3,
      policy: compiled,
      listeners: [{ fd: LENT_FD, family: 4 }],
      maxFlows: options.maxFlows ?? 100,
      busyPollUs: 0,
    });
    teardown(async () => {
      for (const agent of proxy.#agents) agent.destroy();
      await proxy.worker.stop(0);
    });
    return proxy;
  }

  /** Where agents connect to. */
  get port(): number {
    return this.#port;
  }

  /** An agent's socket, connected. */
  async agent(target: Target | null): Promise<Socket> {
    this.target = target;
    const socket = connect({ port: this.#port, host: '127.0.0.1', allowHalfOpen: true });
    this.#agents.add(socket);
    socket.on('error', ignore);
    // In one process the reset of a refused connection can be seen before the connection itself.
    await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(ignore);
    return socket;
  }

  /** The next flow that ends. */
  async report(): Promise<WorkerFlowReport> {
    return (await this.flow()).report;
  }

  flow(): Promise<ReportedFlow> {
    const ready = this.#flows.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #onMessage(message: WorkerMessage): void {
    this.messages.push(message);
    this.told?.(message);
    if (message.type !== 'flows') return;
    for (const flow of message.flows) {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) this.#flows.push(flow);
      else waiting(flow);
    }
  }
}

/** All a socket receives until the other side is done; rejects when it is reset. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Resolves with the error code a socket ends with, or `closed`. */
export async function endOf(socket: Socket): Promise<string> {
  socket.resume();
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
  return (socket.errored as NodeJS.ErrnoException | null)?.code ?? 'closed';
}

/** Reads until `length` bytes are there, and leaves the socket paused. */
export async function readBytes(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let got = 0;
  while (got < length) {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) {
      await once(socket, 'readable');
      continue;
    }
    chunks.push(chunk);
    got += chunk.length;
  }
  return Buffer.concat(chunks);
}
