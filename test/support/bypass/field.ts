/**
 * Where the bypass matrix is run: a world with a daemon, cgroups for agents and for nobody, the test program, and a
 * far side on which every attempt has an address of its own, so that each packet is known to be whose it is.
 */
import { chmodSync, chownSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { findCgroup2, removeCgroup } from '#src/kernel/cgroup.ts';
import type { Capture } from '../capture.ts';
import { must, type Running, until } from '../command.ts';
import { FAR, NEAR } from '../network.ts';
import { RAW_PORTS, RAW_TLS_NAME } from '../raw-ports.ts';
import { TestSluice } from '../sluice.ts';
import { World } from '../world.ts';
import { techniqueOf } from './rows.ts';
import type { Attempt, Family, Row, Said, Who } from './types.ts';

const SOURCE = join(import.meta.dirname, '../../bypass');
/** Where a guest, which has no compiler, finds the program: on the disk it is given (test/vm/root.ts). */
export const CARRIED_PROGRAM = 'build/test/bypass';
/** Nobody's on any host: an agent without privilege need not be in the list of users. */
const USER = 61_234;
/** Ports agents serve at, one for each attempt at it. */
const FIRST_SERVED = 21_000;
const TIMEOUT_MS = 90_000;

export class Field {
  readonly world: World;
  readonly sluice: TestSluice;
  readonly capture: Capture;
  readonly cgroupRoot = findCgroup2();
  readonly #base: string;
  readonly #program: string;
  readonly #run = Math.random().toString(36).slice(2, 10).toUpperCase();
  #attempts = 0;

  private constructor(world: World, sluice: TestSluice, capture: Capture, base: string, program: string) {
    this.world = world;
    this.sluice = sluice;
    this.capture = capture;
    this.#base = base;
    this.#program = program;
  }

  static async open(): Promise<Field> {
    const world = await World.open(['raw']);
    try {
      const program = await findProgram(world.dir);
      await prepareNetwork(world);
      const name = `/sluice-test-${process.pid}`;
      const base = `${findCgroup2()}${name}`;
      makeCgroups(base);
      world.beforeClose(async () => {
        await until('the cgroups of the agents to be empty', () => removeCgroup(base));
      });
      const sluice = await TestSluice.start(world, { policy: policy(world, `${name}/agents`) });
      const capture = await world.capture();
      return new Field(world, sluice, capture, base, program);
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  get agentCgroup(): string {
    return `${this.#base}/agents`;
  }

  /** Of a cgroup that is no agent's, and into which the unprivileged agent may move. */
  get freeCgroup(): string {
    return `${this.#base}/free`;
  }

  attempt(row: Row, who: Who, family: Family): Attempt {
    this.#attempts += 1;
    const n = this.#attempts;
    const v4 = `10.200.${n >> 8}.${n & 255}`;
    const address = family === '6' ? `fd00:200::${n.toString(16)}` : family === '4' ? v4 : `::ffff:${v4}`;
    const times = Number(techniqueOf(row) === 'family' ? 1 : (/^\d+$/.exec(row.option ?? '')?.[0] ?? 1));
    const crowd = ['exec-race', 'fork-bomb', 'new-cgroup'].includes(techniqueOf(row));
    return { row, who, family, address, canary: `CANARY-${this.#run}-${n}-END`, times: crowd ? times : 1 };
  }

  /** A port for an attempt at serving, which nobody else has. */
  portOf({ canary }: Attempt): number {
    return FIRST_SERVED + Number(/-(\d+)-END$/.exec(canary)?.[1]);
  }

  /**
   * The command line of the test program for an attempt, to be run on the near side.
   *
   * @param technique other than the row's own
   * @param outside   as nobody's agent
   */
  command(
    attempt: Attempt,
    { technique, option, outside = false }: { technique?: string; option?: string; outside?: boolean } = {},
  ): string[] {
    const cgroup = outside ? [] : ['--cgroup', this.agentCgroup];
    const user = ['--user', String(attempt.who === 'root' ? 0 : USER)];
    const target = [attempt.address, String(RAW_PORTS.plain), attempt.canary];
    const own = technique ?? techniqueOf(attempt.row);
    return [this.#program, ...cgroup, ...user, own, ...target, option ?? attempt.row.option ?? ''];
  }

  /** The same for somebody on the far side who visits the near one. */
  visitor(attempt: Attempt, technique: string, port: number): string[] {
    const near = attempt.family === '6' ? NEAR.ipv6 : NEAR.ipv4;
    return [this.#program, technique, near, String(port), attempt.canary];
  }

  start(argv: readonly string[], timeoutMs: number = TIMEOUT_MS): Running {
    return this.world.near.start(argv, { timeoutMs });
  }

  /** Starts the daemon again where an attempt that went wrong has left none, so that others have one. */
  async revive(): Promise<void> {
    if (!this.sluice.isRunning) await this.sluice.startDaemon();
  }

  async list(): Promise<string[]> {
    return (await must([this.#program, '--list'])).trim().split('\n');
  }

  close(): Promise<void> {
    return this.world.close();
  }
}

/** What the program said last: one line of JSON. */
export async function said(running: Running): Promise<Said> {
  const { stdout, stderr, code, signal } = await running.finished;
  const line = stdout
    .trim()
    .split('\n')
    .findLast((text) => text.startsWith('{'));
  if (line === undefined)
    throw new Error(`the test program said nothing (${signal ?? `exit code ${code}`}): ${stdout}${stderr}`);
  return JSON.parse(line) as Said;
}

async function findProgram(directory: string): Promise<string> {
  const carried = join(import.meta.dirname, '../../..', CARRIED_PROGRAM);
  return existsSync(carried) ? carried : buildProgram(directory);
}

/** Builds `bypass` in `directory`. */
export async function buildProgram(directory: string): Promise<string> {
  await must(['make', '--silent', '-C', SOURCE, `OUT=${directory}`]);
  const program = join(directory, 'bypass');
  chmodSync(program, 0o755);
  return program;
}

/** Whole ranges are local on the far side; and what the techniques need is allowed, so that Sluice alone stops them. */
async function prepareNetwork({ near, far }: World): Promise<void> {
  for (const argv of [
    ['ip', 'route', 'add', 'local', '10.200.0.0/16', 'dev', 'lo'],
    ['ip', '-6', 'route', 'add', 'local', 'fd00:200::/64', 'dev', 'lo'],
    ['ip', 'addr', 'add', 'fe80::198:2/64', 'dev', FAR.device, 'nodad'],
    ['sysctl', '-qw', 'net.ipv4.tcp_fastopen=1543'],
    ['sysctl', '-qw', 'net.ipv6.conf.all.seg6_enabled=1', `net.ipv6.conf.${FAR.device}.seg6_enabled=1`],
  ])
    await must(far.wrap(argv));
  for (const argv of [
    ['ip', 'addr', 'add', 'fe80::198:1/64', 'dev', NEAR.device, 'nodad'],
    // Data in the first SYN without a cookie; see Documentation/networking/ip-sysctl.rst.
    ['sysctl', '-qw', 'net.ipv4.tcp_fastopen=1543'],
    ['sysctl', '-qw', 'net.ipv4.ping_group_range=0 2147483647'],
    ['sysctl', '-qw', `net.ipv4.conf.${NEAR.device}.accept_source_route=1`],
    // Ports of ended connections are free at once: an impostor would otherwise wait for a minute.
    ['sysctl', '-qw', 'net.ipv4.tcp_max_tw_buckets=0'],
  ])
    await must(near.wrap(argv));
}

/** The unprivileged agent may move itself and others anywhere below `base`: as in a hierarchy delegated to it. */
function makeCgroups(base: string): void {
  for (const directory of [base, `${base}/agents`, `${base}/free`]) {
    mkdirSync(directory, { recursive: true });
    chownSync(directory, USER, USER);
    chownSync(`${directory}/cgroup.procs`, USER, USER);
  }
}

function policy(world: World, cgroup: string): string {
  return `version: 1
dns: { resolvers: [${FAR.ipv4}, '${FAR.ipv6}'] }
agents:
  - { name: bypass, match: [{ cgroup: ${cgroup} }] }
destinations:
  - name: far
    cidrs: [10.200.0.0/16, 'fd00:200::/64']
    ports: [${RAW_PORTS.plain}]
    protocol: tls
    port_map: { ${RAW_PORTS.plain}: ${RAW_PORTS.echo} }
    tls: { ca: ${world.pki.ca}, server_name: ${RAW_TLS_NAME} }
rules:
  - { name: all, agents: [bypass], destinations: [far], action: allow }
`;
}
