/**
 * The stage of the attempts to be taken for somebody else: two agents, a bystander, a far server that writes down what
 * reached it, and a judge who asks that the flow record names whoever really connected.
 *
 * Each attempt sends a number of bytes of its own. The witness counts them behind TLS, the record has them as
 * `bytes.agent_to_server`: so one belongs to the other by what crossed the wire, whatever anybody claims.
 */
import { chmodSync, cpSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Test } from 'tap';
import type { FlowRecord } from '#src/flow/record.ts';
import { BootClock } from '#src/identity/boot-clock.ts';
import { must, type Running, until } from './command.ts';
import { FAR } from './network.ts';
import { patience } from './patience.ts';
import { PYTHON } from './python.ts';
import { TestSluice } from './sluice.ts';
import type { World } from './world.ts';
import { AGENTS, worldPolicy } from './world-policy.ts';

export const WITNESS_PORT = 7100;
const WITNESS_NAME = 'witness.test';
const PROGRAMS = join(import.meta.dirname, 'programs/attribution');
/**
 * Both know when the machine was booted from /proc/uptime, by the lowest of some looks: each to 10 ms, and the process its start
 * in hundredths of a second. As much again is what every look may be kept waiting for.
 */
const STARTED_WITHIN_MS = 50 * patience;

/** What a process said of itself before it connected. */
export interface Told {
  readonly size: number;
  readonly pid: number;
  readonly ticks: number;
  readonly uid: number;
  readonly gid: number;
  readonly exe: string;
  readonly cgroup: string;
}

export interface Entry {
  readonly size: number;
  readonly how: string;
  readonly ip: string;
  readonly port: number;
}

export interface StageOptions {
  /** YAML of agents beside those of the world, which may all go to the witness; by name. */
  readonly agents?: Readonly<Record<string, string>>;
}

export class Stage {
  readonly world: World;
  readonly sluice: TestSluice;
  /** Programs, to be copied from: everybody may read and run them. */
  readonly dir: string;
  /** A program without a library. */
  readonly dial: string;
  readonly #witness: Running;
  readonly #boot = new BootClock();
  #size = 20_000;

  private constructor(world: World, sluice: TestSluice, witness: Running, dir: string) {
    this.world = world;
    this.sluice = sluice;
    this.dir = dir;
    this.dial = join(dir, 'dial');
    this.#witness = witness;
  }

  static async set(world: World, { agents = {} }: StageOptions = {}): Promise<Stage> {
    const dir = join(world.dir, 'attribution');
    cpSync(PROGRAMS, dir, { recursive: true });
    await must(['cc', '-static', '-O1', '-o', join(dir, 'dial'), join(dir, 'dial.c')]);
    chmodSync(dir, 0o755);
    const { cert, key } = await world.pki.issue(WITNESS_NAME);
    const witness = world.far.start([PYTHON, join(dir, 'witness.py'), cert, key, String(WITNESS_PORT)]);
    world.beforeClose(() => witness.stop('SIGKILL'));
    await witness.waitFor((r) => r.stdout.includes('"ready":true'));
    const more = Object.entries(agents).map(([name, match]) => `  - { name: ${name}, match: [${match}] }\n`);
    const names = [AGENTS.shop, AGENTS.stock, ...Object.keys(agents)].join(', ');
    const policy = worldPolicy(world, {
      rules: `
  - { name: witness, agents: [${names}], destinations: [witness], action: allow }`,
    })
      .replace('\nagents:\n', `\nagents:\n${more.join('')}`)
      .replace(
        '\ndestinations:\n',
        `\ndestinations:
  - name: witness
    cidrs: ['${FAR.ipv4}', '${FAR.ipv6}']
    ports: [${WITNESS_PORT}]
    protocol: tls
    tls: { ca: ${world.pki.ca}, server_name: ${WITNESS_NAME} }
`,
      );
    return new Stage(world, await TestSluice.start(world, { policy }), witness, dir);
  }

  /** A number of bytes nobody else sends. */
  nextSize(): number {
    this.#size += 1;
    return this.#size;
  }

  /** The command of an attempt. */
  attempt(name: string, ...words: readonly (string | number)[]): string[] {
    return [
      PYTHON,
      join(this.dir, 'attempts.py'),
      name,
      FAR.ipv4,
      String(WITNESS_PORT),
      ...words.map(String),
    ];
  }

  /** Begins an attempt as an agent. */
  start(agent: string, name: string, ...words: readonly (string | number)[]): Running {
    return this.sluice.start(agent, this.attempt(name, ...words), { keepStdin: true });
  }

  /** The same to its end, which must be a good one; what its processes told of themselves. */
  async run(agent: string, name: string, ...words: readonly (string | number)[]): Promise<Told[]> {
    const done = await this.sluice.run(agent, this.attempt(name, ...words));
    if (done.code !== 0)
      throw new Error(`${name}: ${done.code} ${done.signal}\n${done.stdout}${done.stderr}`);
    return told(done.stdout);
  }

  /** The same, with the program kept until it has been judged; `argv` is the command of an attempt. */
  async watch(agent: string, argv: readonly string[], judge: (by: Told) => Promise<unknown>): Promise<void> {
    const attempt = this.sluice.start(agent, argv, { keepStdin: true });
    try {
      await attempt.waitFor(() => told(attempt.stdout).length > 0);
      const [by] = told(attempt.stdout);
      if (by !== undefined) await judge(by);
    } finally {
      attempt.endInput();
      await attempt.finished;
    }
  }

  get entries(): Entry[] {
    return lines<Entry>(this.#witness.stdout).filter(({ size }) => size > 0);
  }

  /** What the far server saw of so many bytes, once it has. */
  seen(size: number): Promise<Entry> {
    return until(
      `${size} bytes at the witness`,
      () => this.entries.find((entry) => entry.size === size) ?? null,
    );
  }

  recordOf(size: number): Promise<FlowRecord> {
    return this.sluice.waitForFlow((flow) => isAtWitness(flow) && flow.bytes.agent_to_server === size);
  }

  /** Records of connections that the witness may have seen. */
  get carried(): FlowRecord[] {
    return this.sluice.log.filter((flow) => isAtWitness(flow) && flow.bytes.agent_to_server > 0);
  }

  /** Whether what the far server saw is what is on record: each once, and nothing else. */
  async judgeAll(t: Test): Promise<void> {
    await this.sluice.atRest();
    const sizes = (all: readonly number[]): number[] => [...all].sort((a, b) => a - b);
    const recorded = (): number[] => sizes(this.carried.map((flow) => flow.bytes.agent_to_server));
    const seen = (): number[] => sizes(this.entries.map(({ size }) => size));
    // The last of either may be on their way here.
    await until('both to say the same', () => isDeepStrictEqual(recorded(), seen())).catch(() => undefined);
    t.same(recorded(), seen());
  }

  /** @param forbidden what is in no line, the end of lines left out */
  async judgeLines(t: Test, forbidden: RegExp): Promise<void> {
    const { daemon } = this.sluice;
    await until('whole lines', () => daemon.stdout.endsWith('\n'));
    t.notMatch(daemon.stdout.replaceAll('\n', ' '), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    t.ok(
      daemon.stdout
        .trim()
        .split('\n')
        .every((line) => 'event' in JSON.parse(line)),
    );
    const count = async (): Promise<number> => (await this.sluice.storedFlows()).length;
    for (const output of ['table', 'json']) {
      // A flow may come to its end meanwhile.
      const { stored, stdout } = await until('no other flow to be stored', async () => {
        const before = await count();
        const shown = await this.sluice.cli(['flows', '--limit', '10000', '--output', output]);
        return (await count()) === before && { stored: before, stdout: shown.stdout };
      });
      t.notMatch(stdout, forbidden);
      t.equal(stdout.trim().split('\n').length, stored + (output === 'table' ? 1 : 0));
    }
  }

  /** While the workers stand still: connections are established by the kernel, and nobody accepts them. */
  async whileNobodyAccepts<T>(act: () => Promise<T>): Promise<T> {
    const pids = (await this.sluice.status()).workers.flatMap(({ pid }) => pid ?? []);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    try {
      return await act();
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    }
  }

  /**
   * Compares what the far server saw, what the process said and what Sluice recorded.
   *
   * @param other what of the process is to be something else than it said before it connected
   */
  async judge(t: Test, agent: string, by: Told, other: Partial<Told> = {}): Promise<FlowRecord> {
    const entry = await this.seen(by.size);
    t.equal(entry.how, 'whole');
    const record = await this.recordOf(by.size);
    const who = { ...by, ...other };
    t.equal(record.agent, agent, 'agent');
    t.equal(record.verdict, 'allow');
    t.equal(record.src.pid, who.pid, 'pid');
    t.equal(record.src.uid, who.uid, 'uid');
    t.equal(record.src.gid, who.gid, 'gid');
    t.equal(record.src.exe, who.exe, 'executable');
    t.equal(record.src.cgroup, who.cgroup, 'cgroup');
    const started = this.#boot.epochMs(BigInt(who.ticks) * 10_000_000n);
    t.ok(
      Math.abs(Date.parse(record.src.started ?? '') - started) <= STARTED_WITHIN_MS,
      `started ${record.src.started}, and not ${new Date(started).toISOString()}`,
    );
    return record;
  }
}

function isAtWitness(flow: FlowRecord): boolean {
  return flow.dst.port === WITNESS_PORT && flow.direction === 'outbound';
}

/** The whole lines of JSON in what a program printed. */
export function lines<T>(text: string): T[] {
  return text
    .split('\n')
    .slice(0, -1)
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as T);
}

export function told(stdout: string): Told[] {
  return lines<Told>(stdout).filter(({ size }) => size !== undefined);
}

/** Waits until the attempt says that it has come so far; what it said. */
export async function step(attempt: Running, name: string): Promise<Record<string, unknown>> {
  const find = (): Record<string, unknown> | undefined =>
    lines<Record<string, unknown>>(attempt.stdout).find((line) => line['step'] === name);
  await attempt.waitFor(() => find() !== undefined);
  return find() ?? {};
}
