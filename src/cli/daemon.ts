/** `sluice daemon`: reads options and hands over to the daemon, in the foreground, as systemd wants it. */
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type MetricsAddress, parseMetricsAddress } from '../api/metrics-server.ts';
import { PROXY_PORTS_MAX } from '../kernel/layout.ts';
import { badSize, type TableSizes, tableNames } from '../kernel/tables.ts';
import { type Cli, pinDirOption, runtimeDirOption, stateDirOption, wholeNumber } from './cli.ts';
import { EXIT_OK } from './exit-codes.ts';
import { reportError } from './report-error.ts';

/** More workers than any host has cores. */
const MAX_WORKERS = 1024;

/** What Linux allows as open files of one process (fs.nr_open) is 1,048,576, and a flow takes two. */
const MAX_FLOWS = 500_000;
/** A millisecond: beyond it a worker of a busy host would hardly ever sleep. */
const MAX_BUSY_POLL_US = 1_000;

/** Twice what a busy host is measured with; a worker takes fewer if its open files do not suffice. */
const DEFAULT_MAX_FLOWS = 20_000;

/** Each is 28,000 connections of all agents, IPv4 and IPv6 apart. */
const DEFAULT_LISTEN_PORTS = 4;
/** A day's work ends within it, and what was replaced does not stay for ever: a worker takes some 80 MB. */
const DEFAULT_DRAIN_S = 3_600;
const MAX_DRAIN_S = 7 * 24 * 3_600;

interface DaemonCommandOptions {
  readonly policy: string;
  readonly workers?: number;
  readonly workerUser: string;
  readonly runtimeDir: string;
  readonly stateDir: string;
  readonly pinDir: string;
  readonly maxFlows: number;
  readonly busyPoll: number;
  readonly listenPorts: number;
  readonly drainTimeout: number;
  readonly table: TableSizes;
  readonly metrics?: MetricsAddress;
  readonly logFlows: boolean;
}

function metricsAddress(text: string): MetricsAddress {
  const address = parseMetricsAddress(text);
  if (address === null)
    throw new InvalidArgumentError('give an address and a port, such as 127.0.0.1:9464 or [::1]:9464');
  return address;
}

export function registerDaemon(program: Command, cli: Cli): void {
  program
    .command('daemon')
    .description('govern the agents of a policy, until SIGTERM or SIGINT')
    .requiredOption('--policy <file>', 'the policy, YAML; read again on SIGHUP')
    .option('--workers <n>', 'worker processes (default: one per core)', wholeNumber(1, MAX_WORKERS))
    .option('--worker-user <user>', 'unprivileged user the workers run as', 'sluice')
    .addOption(runtimeDirOption())
    .addOption(stateDirOption())
    .addOption(pinDirOption())
    .option('--max-flows <n>', 'open flows of one worker', wholeNumber(1, MAX_FLOWS), DEFAULT_MAX_FLOWS)
    .option(
      '--busy-poll <us>',
      'microseconds for which a worker asks for more after each read instead of sleeping: lower latency, more processor time',
      wholeNumber(0, MAX_BUSY_POLL_US),
      0,
    )
    .option(
      '--listen-ports <n>',
      'ports of the proxy, each for some 28,000 connections of all agents',
      wholeNumber(1, PROXY_PORTS_MAX),
      DEFAULT_LISTEN_PORTS,
    )
    .option(
      '--drain-timeout <s>',
      'seconds for which flows of a worker that was replaced may go on',
      wholeNumber(0, MAX_DRAIN_S),
      DEFAULT_DRAIN_S,
    )
    .addOption(
      new Option(
        '--table <name=n>',
        `room in a table of the kernel plane, again for each: ${tableNames.join(', ')}`,
      )
        .argParser(tableSize)
        .default({}, 'what is pinned, or the usual'),
    )
    .option('--metrics <host:port>', 'serve metrics for Prometheus there (default: nowhere)', metricsAddress)
    .option('--log-flows', 'write each flow record to standard output as NDJSON', true)
    .option('--no-log-flows', 'write none there')
    .addHelpText(
      'after',
      `
Examples:
  sluice daemon --policy /etc/sluice/policy.yaml
  sluice daemon --policy policy.yaml --workers 1 --no-log-flows

SIGHUP reads the policy again; a bad one leaves the old in force. When the daemon stops, its programs stay in
force and agents cannot connect: see "sluice uninstall".

Exit codes: 0 stopped in good order, 1 failed, 2 wrong use.`,
    )
    .action(async (options: DaemonCommandOptions) => {
      cli.exitCode = await start(cli, options);
    });
}

/** A reader of `name=n` for commander. */
function tableSize(text: string, others: TableSizes): TableSizes {
  const [word, value = ''] = text.split('=', 2);
  const name = tableNames.find((known) => known === word);
  if (name === undefined) throw new InvalidArgumentError(`there are ${tableNames.join(', ')}`);
  const size = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
  const why = badSize(name, size);
  if (why !== null) throw new InvalidArgumentError(`${name}: ${why}`);
  return { ...others, [name]: size };
}

async function start(cli: Cli, options: DaemonCommandOptions): Promise<number> {
  const { policy, workers, maxFlows, busyPoll, listenPorts, workerUser } = options;
  const { runtimeDir, stateDir, pinDir } = options;
  try {
    await cli.parts.runDaemon({
      policyPath: resolve(policy),
      workers: workers ?? availableParallelism(),
      workerUser,
      runtimeDirectory: resolve(runtimeDir),
      stateDirectory: resolve(stateDir),
      pinDirectory: resolve(pinDir),
      maxFlows,
      busyPollUs: busyPoll,
      listenPorts,
      tableSizes: options.table,
      drainTimeoutMs: options.drainTimeout * 1_000,
      logFlows: options.logFlows,
      metrics: options.metrics ?? null,
    });
    return EXIT_OK;
  } catch (error) {
    return reportError(cli, error, policy);
  }
}
