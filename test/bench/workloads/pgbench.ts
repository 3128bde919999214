/**
 * `pgbench -S`: one SELECT by primary key after another, over connections that stay: each a text of its own with the key in it,
 * or prepared once. With one client what counts is how long it waits. The unit is the transaction.
 * Percentiles come from its log of every tenth transaction, so that writing the log does not become the load.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { postgresPrograms } from '../servers.ts';
import { percentile } from '../stats.ts';
import type { BenchWorld, Outcome, RunningContender, Workload, WorkloadName } from '../types.ts';
import { firstEndpoint, runLoad } from './load.ts';

const SAMPLING_RATE = 0.1;
/** Field of a log line that holds the time elapsed, microseconds (pgbench, "Per-Transaction Logging"). */
const ELAPSED_FIELD = 2;

function readLatencies(directory: string): number[] {
  return readdirSync(directory)
    .flatMap((name) => readFileSync(join(directory, name), 'utf8').trim().split('\n'))
    .map((line) => Number(line.split(' ')[ELAPSED_FIELD]))
    .filter(Number.isFinite);
}

interface Way {
  readonly clients: number;
  readonly mode: 'simple' | 'prepared';
}

function select(name: WorkloadName, { clients, mode }: Way): Workload {
  return {
    name,
    service: 'postgres',
    warmedBy: name === 'pgbench-1' ? 'pgbench' : null,
    run: (world, contender, effort, warmUp) =>
      runSelect({ clients, mode }, world, contender, warmUp ? effort.warmUpSeconds : effort.seconds),
  };
}

export const pgbench = select('pgbench', { clients: 8, mode: 'simple' });
export const pgbenchPrepared = select('pgbench-prepared', { clients: 8, mode: 'prepared' });
export const pgbenchOne = select('pgbench-1', { clients: 1, mode: 'simple' });

async function runSelect(
  { clients, mode }: Way,
  world: BenchWorld,
  contender: RunningContender,
  seconds: number,
): Promise<Outcome> {
  const { host, port, tls } = firstEndpoint(contender, 'postgres');
  const logs = join(world.directory, 'pgbench-logs');
  mkdirSync(logs);
  try {
    // verify-full against the address: the certificate names it beside the host name.
    const env = {
      PGSSLMODE: tls ? 'verify-full' : 'disable',
      PGSSLROOTCERT: world.caFile,
      PGGSSENCMODE: 'disable',
    };
    const { stdout } = await runLoad(
      world,
      contender,
      [
        ...[join(postgresPrograms(), 'pgbench'), '-S', '-n', '-h', host, '-p', String(port), '-U', 'bench'],
        ...['-M', mode, '-c', String(clients), '-j', '1', '-T', String(seconds)],
        ...['--log', '--log-prefix', join(logs, 'log'), '--sampling-rate', String(SAMPLING_RATE), 'bench'],
      ],
      env,
    );
    const read = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? Number.NaN);
    const amount = read(/^number of transactions actually processed: (\d+)/m);
    const rate = read(/^tps = ([\d.]+)/m);
    const errors = read(/^number of failed transactions: (\d+)/m);
    if (!(amount > 0)) throw new Error(`pgbench did nothing:\n${stdout}`);
    const latencies = readLatencies(logs);
    const [p50Us, p99Us] = [percentile(latencies, 0.5), percentile(latencies, 0.99)];
    return { amount, seconds: amount / rate, p50Us, p99Us, errors };
  } finally {
    rmSync(logs, { recursive: true });
  }
}
