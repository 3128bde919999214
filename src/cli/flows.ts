/** `sluice flows`: records of flows that have ended, as a table or as NDJSON, stored ones or as they end. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { DEFAULT_FLOW_LIMIT, type FlowFilter, MAX_FLOW_LIMIT, VERDICTS } from '../api/flow-filter.ts';
import { flowStorePath } from '../api/paths.ts';
import { messageOf, SluiceError } from '../core/errors.ts';
import { DISPOSITIONS, type Disposition, type FlowRecord, type Verdict } from '../flow/record.ts';
import { parseDestination } from '../store/filter.ts';
import { type Cli, clientFor, outputOption, runtimeDirOption, stateDirOption, wholeNumber } from './cli.ts';
import { EXIT_FAILURE, EXIT_NOT_RUNNING, EXIT_OK } from './exit-codes.ts';
import { FLOW_COLUMNS, flowRow, TYPICAL_FLOW_ROW } from './flow-table.ts';
import { printError } from './report-error.ts';
import { formatTable, Table } from './table.ts';
import { painterFor, safeJson, widthOf } from './terminal.ts';
import { parseSince } from './units.ts';

interface FlowsOptions {
  readonly follow?: true;
  /** Unix milliseconds. */
  readonly since?: number;
  readonly agent?: string;
  readonly dest?: string;
  readonly disposition?: Disposition;
  readonly verdict?: Verdict;
  readonly limit?: number;
  readonly output: 'table' | 'json';
  readonly runtimeDir: string;
  readonly stateDir: string;
}

export function registerFlows(program: Command, cli: Cli): void {
  program
    .command('flows')
    .description('show the flows of agents, oldest first')
    .option('-f, --follow', 'show flows as they end; with --since, stored ones first')
    .option(
      '--since <time>',
      'began 90s, 10m, 2h, 1d or 1w ago or later, or at an RFC 3339 time',
      usage((text) => parseSince(text, Date.now())),
    )
    .option('--agent <name>', 'of this agent')
    .option(
      '--dest <destination>',
      'HOST, IP or name in the policy, each with :PORT if wanted',
      usage(destination),
    )
    .addOption(new Option('--disposition <how>', 'protected like this').choices(DISPOSITIONS))
    .addOption(new Option('--verdict <verdict>', 'with this end').choices(VERDICTS))
    .option(
      '--limit <n>',
      `the newest N, 1 to ${MAX_FLOW_LIMIT} (default: ${DEFAULT_FLOW_LIMIT})`,
      wholeNumber(1, MAX_FLOW_LIMIT),
    )
    .addOption(outputOption())
    .addOption(runtimeDirOption())
    .addOption(stateDirOption())
    .addHelpText(
      'after',
      `
Examples:
  sluice flows --since 10m --verdict deny
  sluice flows --follow --agent billing --dest db.example.org:5432
  sluice flows --since 2026-01-31T00:00:00Z --limit 10000 --output json > flows.ndjson

While the daemon is not running, stored flows are read from the state directory.

Exit codes: 0 done, 1 failed or cut off, 2 wrong use, 3 the daemon is not running (and nothing is stored).`,
    )
    .action(async (options: FlowsOptions) => {
      cli.exitCode =
        options.follow === true ? await followFlows(cli, options) : await listFlows(cli, options);
    });
}

/** Makes a reader's SluiceError a usage error of commander. */
function usage<T>(read: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return read(text);
    } catch (error) {
      const hint = error instanceof SluiceError ? error.hint : undefined;
      throw new InvalidArgumentError(
        hint === undefined ? messageOf(error) : `${messageOf(error)}\n(${hint})`,
      );
    }
  };
}

function destination(text: string): string {
  parseDestination(text);
  return text;
}

function filterOf(options: FlowsOptions): FlowFilter {
  return {
    sinceMs: options.since ?? null,
    agent: options.agent ?? null,
    destination: options.dest ?? null,
    disposition: options.disposition ?? null,
    verdict: options.verdict ?? null,
    limit: options.limit ?? DEFAULT_FLOW_LIMIT,
  };
}

async function listFlows(cli: Cli, options: FlowsOptions): Promise<number> {
  const filter = filterOf(options);
  let records: readonly FlowRecord[];
  try {
    records = await clientFor(options).flows(filter);
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== 'NOT_RUNNING') throw error;
    const stored = await cli.parts.readStore(flowStorePath(options.stateDir), filter);
    if (stored === null) throw error;
    printError(cli.stderr, 'the daemon is not running; these are the flows it stored', error.hint);
    records = stored;
  }
  printRecords(cli, options, records);
  return EXIT_OK;
}

function printRecords(cli: Cli, options: FlowsOptions, records: readonly FlowRecord[]): void {
  if (options.output === 'json') {
    for (const record of records) cli.stdout.write(`${safeJson(record)}\n`);
  } else if (records.length === 0) {
    printError(cli.stderr, 'no flows');
  } else {
    const painter = painterFor(cli.stdout, cli.env);
    cli.stdout.write(formatTable(FLOW_COLUMNS, records.map(flowRow), widthOf(cli.stdout), painter));
  }
}

async function followFlows(cli: Cli, options: FlowsOptions): Promise<number> {
  const print = recordPrinter(cli, options);
  for await (const event of clientFor(options).follow(filterOf(options))) {
    if (event.type === 'flow') print(event.flow);
    else if (event.type === 'end') {
      printError(cli.stderr, 'the daemon stopped');
      return EXIT_NOT_RUNNING;
    } else if (event.type === 'cut') {
      const hint = 'the output was read too slowly; see `sluice flows --since` for what was missed';
      printError(cli.stderr, `cut off: ${event.missed} flows were not shown`, hint);
      return EXIT_FAILURE;
    }
  }
  return EXIT_OK;
}

/** Prints one record after the other; the header of a table comes at once, to show that it waits. */
function recordPrinter(cli: Cli, options: FlowsOptions): (record: FlowRecord) => void {
  if (options.output === 'json') return (record) => void cli.stdout.write(`${safeJson(record)}\n`);
  const painter = painterFor(cli.stdout, cli.env);
  const table = new Table(FLOW_COLUMNS, [TYPICAL_FLOW_ROW], widthOf(cli.stdout), painter);
  cli.stdout.write(`${table.header()}\n`);
  return (record) => void cli.stdout.write(`${table.row(flowRow(record))}\n`);
}
