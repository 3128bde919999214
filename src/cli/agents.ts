/** `sluice agents`: which processes are agents now, since when and why, and what of theirs is not governed. */
import type { Command } from 'commander';
import { MAX_AGENT_LIMIT } from '../api/routes.ts';
import type { AgentProcess, AgentReason } from '../api/types.ts';
import { type Cli, clientFor, outputOption, runtimeDirOption, wholeNumber } from './cli.ts';
import { EXIT_OK } from './exit-codes.ts';
import { type Column, formatTable } from './table.ts';
import { painterFor, safeJson, widthOf } from './terminal.ts';
import { formatTime } from './units.ts';

const DEFAULT_LIMIT = 1_000;

interface AgentsOptions {
  readonly runtimeDir: string;
  readonly output: 'table' | 'json';
  readonly limit: number;
}

export function registerAgents(program: Command, cli: Cli): void {
  program
    .command('agents')
    .description('show which processes are agents, and why')
    .option(
      '--limit <n>',
      `at most so many, 1 to ${MAX_AGENT_LIMIT}`,
      wholeNumber(1, MAX_AGENT_LIMIT),
      DEFAULT_LIMIT,
    )
    .addOption(outputOption())
    .addOption(runtimeDirOption())
    .addHelpText(
      'after',
      `
SOCKETS are those of TCP and UDP; "2 (1 from before)" has one that was there before its process was an agent and is
not governed: "sluice enrol PID --as NAME --now" ends such connections.

Examples:
  sluice agents
  sluice agents --output json | jq 'select(.sockets.ungoverned > 0)'

Exit codes: 0 shown, 3 the daemon is not running.`,
    )
    .action(async (options: AgentsOptions) => {
      cli.exitCode = await showAgents(cli, options);
    });
}

async function showAgents(cli: Cli, options: AgentsOptions): Promise<number> {
  const { agents, total } = await clientFor(options).agents(options.limit);
  if (options.output === 'json') {
    for (const agent of agents) cli.stdout.write(`${safeJson(agent)}\n`);
  } else {
    const rows = agents.map(agentRow);
    cli.stdout.write(formatTable(COLUMNS, rows, widthOf(cli.stdout), painterFor(cli.stdout, cli.env)));
  }
  if (total > agents.length)
    cli.stderr.write(`sluice: ${total - agents.length} more are not shown: --limit\n`);
  return EXIT_OK;
}

const COLUMNS: readonly Column[] = [
  { title: 'PID', align: 'right' },
  { title: 'AGENT', shrinkTo: 8 },
  { title: 'BECAUSE', shrinkTo: 10, paint: (cell) => (cell.startsWith('new file') ? 'yellow' : null) },
  { title: 'SINCE', dropOrder: 1 },
  { title: 'UID', align: 'right', dropOrder: 3 },
  { title: 'SOCKETS', paint: (cell) => (cell.includes('before') ? 'yellow' : null) },
  { title: 'FLOWS', align: 'right', dropOrder: 2 },
  { title: 'PROGRAM', shrinkTo: 12 },
];

const REASON_TEXT: Readonly<Record<AgentReason, string>> = {
  cgroup: 'cgroup',
  run: 'run',
  exe: 'executable',
  uid: 'user id',
  enrolled: 'enrolled',
  place: 'new file in its place',
  untagged: 'no room for its tag',
};

function agentRow(agent: AgentProcess): string[] {
  const { internet, ungoverned } = agent.sockets;
  const marks = [...(agent.inherited ? ['inherited'] : []), ...(agent.wasRunning ? ['was running'] : [])];
  const because = [REASON_TEXT[agent.reason], ...marks].join(', ');
  return [
    String(agent.pid),
    agent.agent ?? '-',
    because,
    formatTime(agent.since),
    String(agent.uid),
    ungoverned > 0 ? `${internet} (${ungoverned} from before)` : String(internet),
    String(agent.flows),
    agent.exe ?? '-',
  ];
}
