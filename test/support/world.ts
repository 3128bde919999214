/**
 * A small world for tests and the demo: a host (`near`) and the network beyond it (`far`), with real servers
 * there, names that resolve, and captures that judge. Everything in it goes away with the process that made it,
 * however that ends; see leftovers.ts.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Capture, type CapturePoint, type Inside } from './capture.ts';
import type { CommandOptions, Finished } from './command.ts';
import { claimWorld, dismantle, worldDir } from './leftovers.ts';
import {
  FAR,
  makeBox,
  makeNetwork,
  type Namespace,
  type NearSide,
  type Network,
  writeHosts,
} from './network.ts';
import { HTTPS_NAMES, Nginx, type NginxSize, type SiteName } from './nginx.ts';
import { type Certificate, Pki } from './pki.ts';
import { POSTGRES, Postgres } from './postgres.ts';
import { RAW_TLS_NAME } from './raw-ports.ts';
import { RawServers } from './raw-servers.ts';

export type ServerName = 'nginx' | 'postgres' | 'raw';

export interface WorldOptions {
  readonly near?: NearSide;
  /** Of nginx; the first is its default. Default: all. */
  readonly sites?: readonly SiteName[];
  readonly nginx?: NginxSize;
}

export interface AgentOptions {
  /** `hosts` (the default): names come from a hosts file. `dns`: by UDP from the far side's name server. */
  readonly names?: 'hosts' | 'dns';
}

export class World {
  readonly name: string;
  /** Removed with the world. Others than root may pass through it. */
  readonly dir: string;
  readonly network: Network;
  readonly pki: Pki;
  /** For the servers that ask for one. */
  readonly clientCertificate: Certificate;
  readonly #nginx: Nginx | null;
  readonly #postgres: Postgres | null;
  readonly #raw: RawServers | null;
  readonly #captures: Capture[] = [];
  #box: Namespace | null = null;
  readonly #closing: (() => Promise<unknown>)[] = [];

  private constructor(
    name: string,
    parts: {
      network: Network;
      pki: Pki;
      clientCertificate: Certificate;
      nginx: Nginx | null;
      postgres: Postgres | null;
      raw: RawServers | null;
    },
  ) {
    this.name = name;
    this.dir = worldDir(name);
    this.network = parts.network;
    this.pki = parts.pki;
    this.clientCertificate = parts.clientCertificate;
    this.#nginx = parts.nginx;
    this.#postgres = parts.postgres;
    this.#raw = parts.raw;
  }

  /** @param onStep told of each step as it begins, for whoever shows progress */
  static async open(
    servers: readonly ServerName[] = ['nginx', 'postgres', 'raw'],
    onStep: (step: string) => void = () => {},
    { near, sites, nginx: size }: WorldOptions = {},
  ): Promise<World> {
    if (process.getuid?.() !== 0) throw new Error('the test world needs root. Mend: sudo scripts/test');
    const name = claimWorld();
    const dir = worldDir(name);
    try {
      onStep('two network namespaces joined by a veth pair, and a certificate authority');
      const [network, pki] = await Promise.all([
        makeNetwork(name, near),
        Pki.make(join(dir, 'pki'), 'Sluice test CA'),
      ]);
      const clientCertificate = await pki.issue('client', { names: ['client.world.test'] });
      // One after the other: all of them sign with the one CA, whose database is a plain file.
      for (const server of servers) onStep(`${server} on the far side`);
      const nginx = servers.includes('nginx')
        ? await Nginx.start(network, join(dir, 'nginx'), pki, sites, size)
        : null;
      const postgres = servers.includes('postgres')
        ? await Postgres.start(network, join(dir, 'pg'), pki)
        : null;
      const raw = servers.includes('raw') ? await RawServers.start(network, join(dir, 'raw'), pki) : null;
      writeHosts(join(dir, 'hosts'), [...HTTPS_NAMES, 'plain.test', POSTGRES.name, RAW_TLS_NAME]);
      writeHosts(join(dir, 'hosts-empty'), []);
      writeFileSync(join(dir, 'resolv.conf'), `nameserver ${FAR.ipv4}\n`);
      return new World(name, { network, pki, clientCertificate, nginx, postgres, raw });
    } catch (error) {
      dismantle(name);
      throw error;
    }
  }

  get near(): Namespace {
    return this.network.near;
  }

  get far(): Namespace {
    return this.network.far;
  }

  get nginx(): Nginx {
    return started(this.#nginx, 'nginx');
  }

  get postgres(): Postgres {
    return started(this.#postgres, 'postgres');
  }

  get raw(): RawServers {
    return started(this.#raw, 'raw');
  }

  /**
   * The command as it sees the world's names: in a mount namespace of its own with /etc/hosts and
   * /etc/resolv.conf replaced. It is still to be run inside `near`.
   */
  agentCommand(argv: readonly string[], { names = 'hosts' }: AgentOptions = {}): string[] {
    const hosts = join(this.dir, names === 'hosts' ? 'hosts' : 'hosts-empty');
    // A bind mount needs something to cover; a machine without resolv.conf asks 127.0.0.1, where nobody is.
    const script =
      'mount --bind "$1" /etc/hosts && { [ ! -e /etc/resolv.conf ] || mount --bind "$2" /etc/resolv.conf; } && shift 2 && exec "$@"';
    const shell = ['sh', '-c', script, 'sh', hosts, join(this.dir, 'resolv.conf')];
    return ['unshare', '--mount', '--propagation', 'private', '--', ...shell, ...argv];
  }

  /** Runs a program on the near side as somebody Sluice has nothing to do with. */
  runBystander(argv: readonly string[], options: CommandOptions & AgentOptions = {}): Promise<Finished> {
    return this.near.run(this.agentCommand(argv, options), options);
  }

  /** A network namespace of its own, as a container has; one for a world. */
  async addBox(): Promise<Namespace> {
    this.#box ??= await makeBox(this.name, this.far);
    return this.#box;
  }

  /** @param box for the point `box`, where it is not the world's own */
  async capture(point: CapturePoint = 'wire', box: Inside | null = this.#box): Promise<Capture> {
    const file = join(this.dir, `${point}-${this.#captures.length}.pcap`);
    const capture = await Capture.start(this.network, point, file, box);
    this.#captures.push(capture);
    return capture;
  }

  /** Registers what has to be stopped before the namespaces go, last first. */
  beforeClose(stop: () => Promise<unknown>): void {
    this.#closing.push(stop);
  }

  /** Ends everything in good order, then removes it. The order's failures do not keep it from being removed. */
  async close(): Promise<void> {
    const servers = [this.#nginx, this.#postgres, this.#raw].flatMap((s) =>
      s === null ? [] : [() => s.stop()],
    );
    const steps = [...servers, ...this.#captures.map((c) => () => c.stop()), ...this.#closing].reverse();
    const failures: unknown[] = [];
    for (const step of steps) await step().catch((error: unknown) => failures.push(error));
    dismantle(this.name);
    if (failures.length > 0) throw new AggregateError(failures, 'the test world did not end in good order');
  }
}

function started<T>(server: T | null, name: ServerName): T {
  if (server === null) throw new Error(`this world was opened without '${name}'`);
  return server;
}
