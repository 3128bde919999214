/**
 * PostgreSQL in every version that is here, each on a port of its own on the far side, and one Sluice before all of them: with
 * rules and masks for the agents `asked` (SSLRequest) and `direct` (direct TLS), passthrough for the agent `own`, and both for
 * `own-judged`.
 */
import { join } from 'node:path';
import type { CommandOptions, Finished, Running } from './command.ts';
import { FAR } from './network.ts';
import { POSTGRES, Postgres } from './postgres.ts';
import { findVersion, POSTGRES_SOURCES, type PostgresVersion } from './postgres-versions.ts';
import { TestSluice } from './sluice.ts';
import { World } from './world.ts';

export type Agent = 'asked' | 'direct' | 'own' | 'own-judged';

const portOf = (major: number): number => 5400 + major;

export interface Served extends PostgresVersion {
  readonly server: Postgres;
  readonly port: number;
}

export interface Connection {
  readonly to: Served;
  /** More of a connection string, after what has to be there. */
  readonly options?: string;
}

export class VersionsField {
  readonly world: World;
  readonly sluice: TestSluice;
  readonly versions: readonly Served[];
  /** What is not here, and why. */
  readonly missing: readonly string[];

  private constructor(world: World, sluice: TestSluice, versions: readonly Served[], missing: string[]) {
    this.world = world;
    this.sluice = sluice;
    this.versions = versions;
    this.missing = missing;
  }

  static async open(): Promise<VersionsField> {
    const world = await World.open([]);
    try {
      const versions: Served[] = [];
      const missing: string[] = [];
      for (const { major } of POSTGRES_SOURCES) {
        const found = findVersion(major);
        if ('missing' in found) {
          missing.push(found.missing);
          continue;
        }
        const port = portOf(major);
        const dir = join(world.dir, `pg-${major}`);
        const server = await Postgres.start(world.network, dir, world.pki, { bin: found.bin, port });
        world.beforeClose(() => server.stop());
        versions.push({ ...found, server, port });
      }
      const sluice = await TestSluice.start(world, { policy: policyOf(world) });
      return new VersionsField(world, sluice, versions, missing);
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.world.close();
  }

  /** Those whose programs a client can be taken from: an agent's libpq and psql. */
  get clients(): readonly Served[] {
    return this.versions.filter(({ withLibpq }) => withLibpq !== null);
  }

  version(major: number): Served | null {
    return this.versions.find((version) => version.major === major) ?? null;
  }

  connection({ to, options = 'sslmode=disable' }: Connection): string {
    const { user, database, name } = POSTGRES;
    return `host=${name} hostaddr=${FAR.ipv4} port=${to.port} user=${user} dbname=${database} ${options}`;
  }

  /** A script of psql that goes on after errors. @param bin of the psql */
  psql(agent: Agent | null, bin: string, connection: Connection, script: string): Promise<Finished> {
    const argv = this.#psqlOf(bin, connection);
    const options = { input: script, ...ENV };
    return agent === null ? this.world.runBystander(argv, options) : this.sluice.run(agent, argv, options);
  }

  #psqlOf(bin: string, connection: Connection): string[] {
    return [join(bin, 'psql'), '-XAtq', '-v', 'VERBOSITY=verbose', '-f', '-', this.connection(connection)];
  }

  startPsql(agent: Agent, bin: string, connection: Connection, script: string): Running {
    const argv = this.#psqlOf(bin, connection);
    return this.sluice.start(agent, argv, { input: script, ...ENV });
  }

  /** test/support/clients/libpq-client.py under a version's libpq. @returns what it says, by name */
  async libpq(agent: Agent, client: Served, connection: Connection, ...cancels: readonly string[]) {
    const program = join(import.meta.dirname, 'clients/libpq-client.py');
    const python = [...(client.withLibpq ?? []), '/usr/bin/python3', program];
    const done = await this.sluice.run(agent, [...python, this.connection(connection), ...cancels], ENV);
    return { done, said: Object.fromEntries(done.stdout.trim().split('\n').map(pairOf)) };
  }
}

const ENV: CommandOptions = { env: { PGPASSWORD: POSTGRES.password }, timeoutMs: 240_000 };

function pairOf(line: string): [string, string] {
  const at = line.indexOf(': ');
  return [line.slice(0, at), line.slice(at + 2)];
}

function policyOf(world: World): string {
  const ports = POSTGRES_SOURCES.map(({ major }) => portOf(major)).join(', ');
  const destination = (name: string, negotiation: string): string => `
  - name: ${name}
    cidrs: [${FAR.ipv4}]
    ports: [${ports}]
    protocol: postgres
    tls: { ca: ${world.pki.ca}, server_name: ${POSTGRES.name}, negotiation: ${negotiation} }`;
  return `version: 1
trust_domain: world.test
agents:
  - { name: asked, match: [{ run: asked }] }
  - { name: direct, match: [{ run: direct }] }
  - { name: own, match: [{ run: own }] }
  - { name: own-judged, match: [{ run: own-judged }] }
destinations:${destination('db', 'postgres')}${destination('db-direct', 'direct')}
rules:
  - { name: asked, agents: [asked], destinations: [db], action: allow }
  - { name: direct, agents: [direct], destinations: [db-direct], action: allow }
  - { name: own, agents: [own, own-judged], destinations: [db], action: allow, passthrough: true }
operations:
  - { name: no-destruction, agents: [asked, direct], destinations: [db], effects: [schema-destruction], action: deny, reason: People do that. }
masks:
  - { name: cards, agents: [asked, direct, own-judged], destinations: [db], detect: [card], action: partial, keep_last: 4 }
`;
}
