/**
 * A Sluice daemon on the near side of a world, run as a user runs it: through `bin/sluice`. Its runtime and
 * state directories are the world's; its pins are the host's, so it takes the host lock.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ApiClient } from '#src/api/client.ts';
import { MAX_FLOW_LIMIT } from '#src/api/flow-filter.ts';
import { apiSocketPath, DEFAULT_PIN_DIR } from '#src/api/paths.ts';
import type { Status } from '#src/api/types.ts';
import type { FlowRecord } from '#src/flow/record.ts';
import { type CommandOptions, type Finished, howItEnded, type Running, until } from './command.ts';
import { takeHostLock } from './host-lock.ts';
import { markSluice, sluiceMark } from './leftovers.ts';
import { diedAtItsStart } from './patience.ts';
import { entriesOf } from './residue.ts';
import type { AgentOptions, World } from './world.ts';
import { worldPolicy } from './world-policy.ts';

export const SLUICE = join(import.meta.dirname, '../../bin/sluice');

export interface SluiceOptions {
  /** YAML; default: `worldPolicy`. */
  readonly policy?: string;
  /** Default 2, so that flows are spread over more than one. */
  readonly workers?: number;
  /** Put before the daemon's command: `prlimit`, `unshare`, … It must exec what follows. */
  readonly wrapper?: readonly string[];
  /** More options of `sluice daemon`. */
  readonly args?: readonly string[];
  /** Where it is installed; default: here. */
  readonly program?: string;
}

export class TestSluice {
  readonly world: World;
  readonly runtimeDir: string;
  readonly stateDir: string;
  readonly policyPath: string;
  readonly api: ApiClient;
  readonly #options: SluiceOptions;
  #daemon: Running | null = null;
  /** Output of daemons of this world that have ended. */
  #earlier = '';

  private constructor(world: World, options: SluiceOptions) {
    this.world = world;
    this.runtimeDir = join(world.dir, 'sluice-run');
    this.stateDir = join(world.dir, 'sluice-state');
    this.policyPath = join(world.dir, 'policy.yaml');
    this.api = new ApiClient(apiSocketPath(this.runtimeDir));
    this.#options = options;
  }

  /** Starts a daemon and waits until it enforces. It is uninstalled when the world closes. */
  static async start(world: World, options: SluiceOptions = {}): Promise<TestSluice> {
    await holdHost(world);
    const sluice = new TestSluice(world, options);
    world.beforeClose(() => sluice.uninstall());
    mkdirSync(sluice.stateDir, { recursive: true, mode: 0o700 });
    sluice.writePolicy(options.policy ?? worldPolicy(world));
    await sluice.startDaemon();
    return sluice;
  }

  get #program(): string {
    return this.#options.program ?? SLUICE;
  }

  writePolicy(yaml: string): void {
    writeFileSync(this.policyPath, yaml);
  }

  /** Begins one and leaves it to whoever means to end it in its start. */
  beginDaemon(): void {
    markSluice(this.world.name);
    this.#spawnDaemon();
  }

  async startDaemon(): Promise<void> {
    markSluice(this.world.name);
    const daemon = this.#spawnDaemon();
    const ended = await this.#whenItEnforces(daemon);
    if (ended === null) return;
    const again = diedAtItsStart(ended) ? await this.#whenItEnforces(this.#spawnDaemon()) : ended;
    if (again !== null) throw new Error(`the daemon ended ${howItEnded(again)}`);
  }

  #spawnDaemon(): Running {
    const dirs = ['--runtime-dir', this.runtimeDir, '--state-dir', this.stateDir];
    const workers = ['--workers', String(this.#options.workers ?? 2)];
    const command = [this.#program, 'daemon', '--policy', this.policyPath, ...dirs, ...workers];
    const wrapper = this.#options.wrapper ?? [];
    const daemon = this.world.near.start([...wrapper, ...command, ...(this.#options.args ?? [])]);
    this.#daemon = daemon;
    return daemon;
  }

  /** Null when it does; else how it ended. */
  async #whenItEnforces(daemon: Running): Promise<Finished | null> {
    await until(
      'the daemon to enforce',
      async () => {
        if (daemon.ended) return true;
        const status = await this.api.status().catch(() => null);
        return status?.enforcing === true;
      },
      90_000,
    ).catch((error: Error) => {
      throw new Error(`${error.message}\n${daemon.stdout}${daemon.stderr}`);
    });
    return daemon.ended ? daemon.finished : null;
  }

  get daemon(): Running {
    if (this.#daemon === null) throw new Error('the daemon is not running');
    return this.#daemon;
  }

  get isRunning(): boolean {
    return this.#daemon !== null && !this.#daemon.ended;
  }

  status(): Promise<Status> {
    return this.api.status();
  }

  /** The command line that runs `argv` as an agent; to be run on the near side. */
  agentCommand(agent: string, argv: readonly string[], options?: AgentOptions): string[] {
    const command = [this.#program, 'run', '--runtime-dir', this.runtimeDir, '--as', agent, '--', ...argv];
    return this.world.agentCommand(command, options);
  }

  /** Runs an unmodified program as an agent, to its end. */
  run(
    agent: string,
    argv: readonly string[],
    options: CommandOptions & AgentOptions = {},
  ): Promise<Finished> {
    return this.world.near.run(this.agentCommand(agent, argv, options), options);
  }

  start(
    agent: string,
    argv: readonly string[],
    options: CommandOptions & AgentOptions & { readonly keepStdin?: boolean } = {},
  ): Running {
    return this.world.near.start(this.agentCommand(agent, argv, options), options);
  }

  /** Any other command of the CLI. */
  cli(argv: readonly string[], options?: CommandOptions): Promise<Finished> {
    return this.world.near.run([this.#program, ...argv, '--runtime-dir', this.runtimeDir], options);
  }

  /** Waits until the daemon's log says it, which may come after what was done about it. */
  logSays(pattern: RegExp): Promise<void> {
    return this.daemon.waitFor(({ stderr }) => pattern.test(stderr));
  }

  /** Every record written to the log, in order, by all daemons of this world: duplicates would show. */
  get log(): FlowRecord[] {
    const text = this.#earlier + (this.#daemon?.stdout ?? '');
    const records: FlowRecord[] = [];
    for (const line of text.split('\n')) {
      if (!line.startsWith('{')) continue;
      const record = parseRecord(line);
      if (record !== null) records.push(record);
    }
    return records;
  }

  /** Waits for the first record that fits. */
  async waitForFlow(fits: (record: FlowRecord) => boolean, timeoutMs?: number): Promise<FlowRecord> {
    try {
      return await until('a flow record', () => this.log.find(fits), timeoutMs);
    } catch (error) {
      const last = this.log.slice(-5).map((r) => JSON.stringify(r));
      throw new Error(`${(error as Error).message}; the last were\n${last.join('\n')}`);
    }
  }

  /** Waits until `count` records fit, and gives all that do then. */
  waitForFlows(
    count: number,
    fits: (record: FlowRecord) => boolean,
    timeoutMs?: number,
  ): Promise<FlowRecord[]> {
    return until(
      `${count} flow records`,
      () => {
        const found = this.log.filter(fits);
        return found.length >= count ? found : null;
      },
      timeoutMs,
    );
  }

  /** What the daemon has stored, oldest first: the newest ten thousand. */
  storedFlows(): Promise<readonly FlowRecord[]> {
    const any = { sinceMs: null, agent: null, destination: null, disposition: null, verdict: null };
    return this.api.flows({ ...any, limit: MAX_FLOW_LIMIT });
  }

  /** All of them, oldest first, as they lie in the store. */
  allStored(): FlowRecord[] {
    const db = new DatabaseSync(join(this.stateDir, 'flows.db'), { readOnly: true });
    try {
      const rows = db.prepare('SELECT record FROM flow ORDER BY seq').all();
      return rows.map(({ record }) => JSON.parse(String(record)) as FlowRecord);
    } finally {
      db.close();
    }
  }

  /** Waits until nothing is open or waiting any more; a worker that is silent may keep its flows for a minute. */
  async atRest(): Promise<void> {
    let busy = '';
    await until(
      'Sluice to come to rest',
      async () => {
        const { ledger, counters, workers } = await this.status();
        busy = JSON.stringify({
          // What the forwarder was too dead to read is found and taken out in some seconds.
          datagrams: entriesOf('sluice_datagrams'),
          open: ledger.open,
          closing: counters['ledger.closing'],
          waiting: counters['ledger.waiting'],
          backlog: counters['store.backlog'],
          namespaces: counters['namespaces.served'],
          missing: workers.filter(({ pid }) => pid === null).length,
        });
        return !/[1-9]/.test(busy);
      },
      90_000,
    ).catch((error: Error) => {
      throw new Error(`${error.message}: ${busy}`);
    });
  }

  /** Has the daemon start anew by this signal, and gives the status of the one that enforces then. */
  async restart(signal: NodeJS.Signals): Promise<Status> {
    const before = (await this.status()).startedAt;
    this.kill(signal);
    return until(
      'the next daemon',
      async () => {
        this.daemon.assertAlive();
        const status = await this.status().catch(() => null);
        return status !== null && status.startedAt !== before && status.enforcing && status;
      },
      90_000,
    );
  }

  kill(signal: NodeJS.Signals): void {
    this.daemon.kill(signal);
  }

  /** Ends the daemon; its programs stay. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Finished> {
    const finished = await this.daemon.stop(signal);
    this.#earlier += finished.stdout;
    this.#daemon = null;
    return finished;
  }

  /** Stops the daemon if need be and takes everything of Sluice off the host. */
  async uninstall(): Promise<void> {
    if (this.#daemon !== null) await this.stop();
    if (!existsSync(sluiceMark(this.world.name))) return;
    const { code, stdout, stderr } = await this.cli(['uninstall']);
    if (code !== 0 || existsSync(DEFAULT_PIN_DIR)) {
      throw new Error(`sluice uninstall failed:\n${stdout}${stderr}`);
    }
    rmSync(sluiceMark(this.world.name));
  }
}

const holding = new WeakSet<World>();

/** Once for each world, and given back last of all, so that a test can look at the host after it has uninstalled. */
export async function holdHost(world: World): Promise<void> {
  if (holding.has(world)) return;
  world.beforeClose(await takeHostLock());
  holding.add(world);
}

function parseRecord(line: string): FlowRecord | null {
  try {
    const value: unknown = JSON.parse(line);
    const isRecord =
      typeof value === 'object' && value !== null && 'schema' in value && 'id' in value && 'verdict' in value;
    return isRecord ? (value as FlowRecord) : null;
  } catch {
    // The last line may not have arrived whole.
    return null;
  }
}
