/** `sluice holds`: what waits for an answer because policy holds it, and the answers. */
import type { Command } from 'commander';
import type { HoldStatus } from '../api/types.ts';
import { type Cli, clientFor, outputOption, runtimeDirOption } from './cli.ts';
import { EXIT_OK } from './exit-codes.ts';
import { type Column, formatTable } from './table.ts';
import { painterFor, safeJson, safeText, widthOf } from './terminal.ts';
import { formatTime } from './units.ts';

interface ListOptions {
  readonly runtimeDir: string;
  readonly output: 'table' | 'json';
}

interface AnswerOptions {
  readonly runtimeDir: string;
  readonly reason?: string;
}

export function registerHolds(program: Command, cli: Cli): void {
  const holds = program
    .command('holds')
    .description('show what waits for approval, approve it or deny it')
    .addOption(outputOption())
    .addOption(runtimeDirOption())
    .addHelpText(
      'after',
      `
A rule about operations with "action: hold" has them wait, with nothing of them at the server, until they are answered here
or their time is up. What is shown is what kind of operation it is and what it is about, never its text or its values. An
approval is for one message: what it prepares may be executed as often as its session likes.

Examples:
  sluice holds
  sluice holds --output json | jq -r .id
  sluice holds approve 3f0c91d2ab
  sluice holds deny 3f0c91d2ab --reason "not before the backup"

Exit codes: 0 done, 1 nothing waits under that id (any more), 3 the daemon is not running.`,
    )
    .action(async (options: ListOptions) => {
      cli.exitCode = await showHolds(cli, options);
    });
  holds
    .command('approve')
    .description('let it pass')
    .argument('<id>', 'as shown by sluice holds')
    .addOption(runtimeDirOption())
    .addHelpText(
      'after',
      `
Example:
  sluice holds approve 3f0c91d2ab

Exit codes: 0 done, 1 nothing waits under that id (any more), 3 the daemon is not running.`,
    )
    .action(async (id: string, options: AnswerOptions) => {
      const hold = await clientFor(options).answerHold({ id, approved: true });
      cli.stdout.write(`approved: ${summary(hold)}\n`);
      cli.exitCode = EXIT_OK;
    });
  holds
    .command('deny')
    .description('refuse it; the session goes on')
    .argument('<id>', 'as shown by sluice holds')
    .option('--reason <text>', 'why, told to the agent')
    .addOption(runtimeDirOption())
    .addHelpText(
      'after',
      `
Example:
  sluice holds deny 3f0c91d2ab --reason "not before the backup"

Exit codes: 0 done, 1 nothing waits under that id (any more), 3 the daemon is not running.`,
    )
    .action(async (id: string, options: AnswerOptions) => {
      const { reason } = options;
      const answer = { id, approved: false, ...(reason === undefined ? {} : { reason }) };
      const hold = await clientFor(options).answerHold(answer);
      cli.stdout.write(`denied: ${summary(hold)}\n`);
      cli.exitCode = EXIT_OK;
    });
}

async function showHolds(cli: Cli, options: ListOptions): Promise<number> {
  const { holds } = await clientFor(options).holds();
  if (options.output === 'json') for (const hold of holds) cli.stdout.write(`${safeJson(hold)}\n`);
  else if (holds.length === 0) cli.stdout.write('nothing waits\n');
  else
    cli.stdout.write(
      formatTable(COLUMNS, holds.map(row), widthOf(cli.stdout), painterFor(cli.stdout, cli.env)),
    );
  return EXIT_OK;
}

const COLUMNS: readonly Column[] = [
  { title: 'ID' },
  { title: 'AGENT', shrinkTo: 8 },
  { title: 'RULE', shrinkTo: 8 },
  { title: 'VERB', shrinkTo: 6 },
  { title: 'OBJECTS', shrinkTo: 10 },
  { title: 'SINCE', dropOrder: 2 },
  { title: 'UNTIL', dropOrder: 1 },
];

function row(hold: HoldStatus): string[] {
  const { id, agent, rules, verbs, objects, more, since, until } = hold;
  const rest = more > 0 ? [`and ${more} more`] : [];
  return [
    id,
    agent ?? '-',
    rules.join(', '),
    verbs.join(', '),
    [...objects, ...rest].join(', ') || '-',
    formatTime(since),
    formatTime(until),
  ];
}

function summary({ verbs, objects, agent }: HoldStatus): string {
  return safeText(`${verbs.join(', ')} ${objects.join(', ')} by ${agent ?? 'an unknown agent'}`);
}
