/**
 * Kernel planes of several versions, one after the other, on one place of pins and behind one listener; and agents that
 * notice whatever goes wrong meanwhile. What an agent asks for is a port of this process: a connection that comes there
 * was not taken in.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addon } from '#src/kernel/addon.ts';
import { findCgroup2, moveSelf, ownCgroup, removeCgroup } from '#src/kernel/cgroup.ts';
import { removePins } from '#src/kernel/pins.ts';
import { must, Running, until } from './command.ts';
import { takeHostLock } from './host-lock.ts';
import type { Counted, HolderOptions, Ready, Told } from './plane-holder.ts';
import { PYTHON } from './python.ts';
import { install, type VersionName } from './version.ts';

const ROOT = join(import.meta.dirname, '../..');
export const AGENT_ID = 77;
const UNKNOWN_ID = 78;

/** One process that holds a plane. */
export class Holder {
  readonly events: Extract<Told, { readonly event: object }>['event'][] = [];
  readonly #child: ChildProcess;
  #ready: Ready | null = null;
  #counted: Counted | null = null;
  #ended = false;
  #stderr = '';

  constructor(directory: string, options: HolderOptions, listener: number) {
    const argv = ['--disable-warning=ExperimentalWarning', join(directory, 'test/support/plane-holder.ts')];
    this.#child = spawn(process.execPath, [...argv, JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'pipe', listener],
      cwd: directory,
    });
    let text = '';
    this.#child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (text + chunk).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) this.#hear(JSON.parse(line) as Told);
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.#stderr += chunk;
    });
    this.#child.stdin?.on('error', () => undefined);
    // Not before all it has said is there.
    this.#child.on('close', () => {
      this.#ended = true;
    });
  }

  #hear(told: Told): void {
    if ('ready' in told) this.#ready = told.ready;
    else if ('counted' in told) this.#counted = told.counted;
    else this.events.push(told.event);
  }

  ready(): Promise<Ready> {
    return until('a plane', () => {
      if (this.#ready === null && this.#ended) throw new Error(`it ended:\n${this.#stderr}`);
      return this.#ready;
    });
  }

  /** Until it has ended by itself; what it said. */
  async ended(): Promise<string> {
    await until('the end of a plane', () => this.#ended);
    return this.#stderr;
  }

  /** Takes no connections any more, and carries those it has. */
  retire(): Promise<Counted> {
    return this.#ask('retire');
  }

  count(): Promise<Counted> {
    return this.#ask('count');
  }

  #ask(command: string): Promise<Counted> {
    this.#counted = null;
    this.#child.stdin?.write(`${command}\n`);
    return until('counts', () => this.#counted);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended();
  }
}

export class Planes {
  readonly pinDirectory = `/sys/fs/bpf/sluice-test-${process.pid}`;
  readonly cgroupRoot = findCgroup2();
  readonly #cgroup = `/sluice-test-${process.pid}`;
  readonly #home = ownCgroup();
  readonly #directory = mkdtempSync(join(tmpdir(), 'sluice-planes-'));
  readonly #listener = addon().listenTcp('127.0.0.1', 0, 4096);
  readonly #sentinel: Server;
  readonly #unlock: () => Promise<void>;
  readonly #holders: Holder[] = [];
  readonly #agents: Running[] = [];
  #mark: string | null = null;
  /** Connections of agents that were not taken in. */
  leaked = 0;

  private constructor(unlock: () => Promise<void>) {
    this.#unlock = unlock;
    for (const name of ['self', 'agent', 'elsewhere']) mkdirSync(this.#path(name), { recursive: true });
    this.#sentinel = createServer((socket) => {
      this.leaked += 1;
      socket.destroy();
    }).listen(0, '127.0.0.2');
  }

  static async open(versions: readonly VersionName[]): Promise<Planes> {
    const planes = new Planes(await takeHostLock());
    try {
      await once(planes.#sentinel, 'listening');
      for (const name of versions) if (name !== 'present') await install(name, join(planes.#directory, name));
    } catch (error) {
      await planes.close();
      throw error;
    }
    return planes;
  }

  #path(name: string): string {
    return `${this.cgroupRoot}${this.#cgroup}/${name}`;
  }

  get sentinelPort(): number {
    const address = this.#sentinel.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Where an agent may serve, at an address of its own: the numbers that are drawn are others'. */
  readonly served = { address: '127.0.0.5', port: 4434 } as const;

  /** @param dieBefore a step of the migration */
  start(version: VersionName, dieBefore: string | null = null): Holder {
    const options: HolderOptions = {
      pinDirectory: this.pinDirectory,
      cgroupRoot: this.cgroupRoot,
      selfCgroup: `${this.#cgroup}/self`,
      agentCgroup: `${this.#cgroup}/agent`,
      agentId: AGENT_ID,
      unknownId: UNKNOWN_ID,
      port: this.#listener.port,
      servedPort: this.served.port,
      mark: this.#mark,
      dieBefore,
    };
    const directory = version === 'present' ? ROOT : join(this.#directory, version);
    const holder = new Holder(directory, options, this.#listener.fd);
    this.#holders.push(holder);
    return holder;
  }

  /** Starts one that is not to die, and remembers the mark for those to come. */
  async startWhole(version: VersionName): Promise<{ readonly holder: Holder; readonly ready: Ready }> {
    const holder = this.start(version);
    const ready = await holder.ready();
    this.#mark = ready.mark;
    return { holder, ready };
  }

  /** A Python program that is an agent from its first instruction on; `where` is its cgroup, `self` for nobody's. */
  python(script: string, where: 'agent' | 'elsewhere' = 'agent'): Running {
    const enter = 'echo 0 > "$0/cgroup.procs" && exec "$@"';
    const running = new Running(['sh', '-c', enter, this.#path(where), PYTHON, '-c', script]);
    this.#agents.push(running);
    return running;
  }

  elsewhere(): string {
    return `${this.#path('elsewhere')}/cgroup.procs`;
  }

  /** File whose presence ends the agents. */
  get over(): string {
    return join(this.#directory, 'over');
  }

  endAgents(): void {
    writeFileSync(this.over, '');
  }

  /** For another round, with a listener nobody has marked. */
  uninstall(): void {
    removePins(this.pinDirectory);
    rmSync(this.over, { force: true });
    this.#mark = null;
  }

  /** What lies at the place of pins, by directory. */
  pins(): Record<string, number> {
    return Object.fromEntries(
      readdirSync(this.pinDirectory).map((name) => [name, readdirSync(join(this.pinDirectory, name)).length]),
    );
  }

  async close(): Promise<void> {
    for (const agent of this.#agents) await agent.stop('SIGKILL');
    for (const holder of this.#holders) await holder.kill();
    this.#sentinel.close();
    addon().closeFd(this.#listener.fd);
    removePins(this.pinDirectory);
    moveSelf(`${this.cgroupRoot}${this.#home}`);
    if (existsSync(this.#path(''))) removeCgroup(`${this.cgroupRoot}${this.#cgroup}`);
    rmSync(this.#directory, { recursive: true });
    await this.#unlock();
  }
}

/** Programs of Sluice in the kernel, whoever's. */
export async function loadedPrograms(): Promise<string[]> {
  const text = await must(['bpftool', 'prog', 'list']);
  return [...text.matchAll(/\bname (sluice_\w+)/g)].map(([, name]) => name ?? '').sort();
}
