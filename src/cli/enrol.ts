/** `sluice enrol`: makes a process or unit that runs already an agent, and says what it had open. */
import type { Command } from 'commander';
import type { Enrolled, EnrolledSocket } from '../api/types.ts';
import { type Cli, clientFor, outputOption, runtimeDirOption } from './cli.ts';
import { EXIT_FAILURE, EXIT_OK } from './exit-codes.ts';
import { type Column, formatTable } from './table.ts';
import { painterFor, safeJson, safeText, widthOf } from './terminal.ts';
import { counted } from './units.ts';

interface EnrolOptions {
  readonly as: string;
  readonly now: boolean;
  readonly runtimeDir: string;
  readonly output: 'table' | 'json';
}

export function registerEnrol(program: Command, cli: Cli): void {
  program
    .command('enrol')
    .description('make a running process or unit an agent')
    .argument('<target>', 'a pid, or the name of a unit: billing.service')
    .requiredOption('--as <name>', "the agent's name in the policy")
    .option('--now', 'also end what is connected already, and govern every socket there is', false)
    .addOption(outputOption())
    .addOption(runtimeDirOption())
    .addHelpText(
      'after',
      `
The process, all it has started that still has it among its ancestors, and all they start from now on become the
agent, until they end. For what is to be an agent whenever it runs, name it in the policy.

Without --now connections that are there stay as they are, and are shown as "left". Sockets that Sluice does not see
(unix, packet, ...) are shown as "ungoverned".

Examples:
  sluice enrol billing.service --as billing --now
  sluice enrol 4711 --as billing

Exit codes: 0 enrolled, and with --now nothing is connected past Sluice; 1 something is, or it failed;
2 wrong use, no such process or unit, or it cannot be this agent; 3 the daemon is not running.`,
    )
    .action(async (target: string, options: EnrolOptions) => {
      cli.exitCode = await enrol(cli, target, options);
    });
}

async function enrol(cli: Cli, target: string, options: EnrolOptions): Promise<number> {
  const { as: agent, now } = options;
  const done = await clientFor(options).enrol({ target, agent, now });
  if (options.output === 'json') cli.stdout.write(`${safeJson(done)}\n`);
  else cli.stdout.write(textOf(cli, done));
  return now && done.sockets.some(({ outcome }) => outcome === 'left') ? EXIT_FAILURE : EXIT_OK;
}

function textOf(cli: Cli, done: Enrolled): string {
  const fresh = done.processes.filter(({ was }) => !was);
  const before = done.processes.length - fresh.length;
  const others = before === 0 ? '' : `, ${before} ${before === 1 ? 'was' : 'were'} it before`;
  const lines = [
    `${counted(fresh.length, 'process', 'processes')} became ${done.agent}${others}\n`,
    ...done.others.map(({ pid, agent }) => `  process ${pid} stays ${safeText(agent ?? 'another agent')}\n`),
  ];
  if (done.sockets.length === 0) return [...lines, 'They have no sockets open.\n'].join('');
  const painter = painterFor(cli.stdout, cli.env);
  const table = formatTable(COLUMNS, done.sockets.map(socketRow), widthOf(cli.stdout), painter);
  const more = done.socketsTotal - done.sockets.length;
  return [...lines, '\n', table, ...(more > 0 ? [`${more} more\n`] : [])].join('');
}

const COLUMNS: readonly Column[] = [
  { title: 'PID', align: 'right' },
  { title: 'FD', align: 'right', dropOrder: 1 },
  { title: 'SOCKET' },
  { title: 'STATE' },
  { title: 'LOCAL', shrinkTo: 12, dropOrder: 2 },
  { title: 'REMOTE', shrinkTo: 12 },
  {
    title: 'NOW',
    paint: (cell) => (cell === 'left' ? 'red' : cell === 'ungoverned' ? 'yellow' : null),
  },
];

function socketRow(socket: EnrolledSocket): string[] {
  const { pid, fd, kind, state, local, remote, outcome } = socket;
  return [String(pid), String(fd), kind, state, local ?? '-', remote ?? '-', outcome];
}
