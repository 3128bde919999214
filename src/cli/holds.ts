/** `sluice holds`: what waits for an answer because policy holds it, and the answers. */
import type { Command } from 'commander';
import type { HoldStatus } from '../api/types.ts';
import { type Cli, clientFor, outputOption, runtimeDirOption } from './cli.ts';
import { EXIT_FAILURE, EXIT_NOT_RUNNING, EXIT_OK } from './exit-codes.ts';
import { HOLD_COLUMNS, holdDetails, holdRow, TYPICAL_HOLD_ROW } from './hold-table.ts';
import { printError } from './report-error.ts';
import { Table } from './table.ts';
import { painterFor, safeJson, safeText, widthOf } from './terminal.ts';

interface ListOptions {
  readonly runtimeDir: string;
  readonly output: 'table' | 'json';
  readonly follow?: true;
}

interface AnswerOptions {
  readonly runtimeDir: string;
  readonly reason?: string;
}

export function registerHolds(program: Command, cli: Cli): void {
  const holds = program
    .command('holds')
    .description('show what waits for approval, approve it or deny it')
    .option('-f, --follow', 'show what waits, and what begins to')
    .addOption(outputOption())
    .addOption(runtimeDirOption())
    .addHelpText(
      'after',
      `
A rule about operations with "action: hold" has them wait, with nothing of them at the server, until they are answered here
or their time is up. What is shown is what will be run, with its values as far as they are short, masked as policy masks them. An
approval is for one execution: a prepared statement is asked about whenever it gets values to be executed with.

Examples:
  sluice holds
  sluice holds --follow
  sluice holds --output json | jq -r .id
  sluice holds approve 3f0c91d2ab
  sluice holds deny 3f0c91d2ab --reason "not before the backup"

Exit codes: 0 done, 1 nothing waits under that id (any more), 3 the daemon is not running.`,
    )
    .action(async (options: ListOptions) => {
      cli.exitCode =
        options.follow === true ? await followHolds(cli, options) : await showHolds(cli, options);
    });
  holds
    .command('approve')
    .description('let it pass')
    .argument('<id>', 'as shown by sluice holds')
    .option('--reason <text>', 'why, put on record')
    .addOption(runtimeDirOption())
    .addHelpText(
      'after',
      `
Example:
  sluice holds approve 3f0c91d2ab --reason "ticket 4711"

Exit codes: 0 done, 1 nothing waits under that id (any more), 3 the daemon is not running.`,
    )
    .action(answer(cli, true));
  holds
    .command('deny')
    .description('refuse it; the session goes on')
    .argument('<id>', 'as shown by sluice holds')
    .option('--reason <text>', 'why, told to the agent and put on record')
    .addOption(runtimeDirOption())
    .addHelpText(
      'after',
      `
Example:
  sluice holds deny 3f0c91d2ab --reason "not before the backup"

Exit codes: 0 done, 1 nothing waits under that id (any more), 3 the daemon is not running.`,
    )
    .action(answer(cli, false));
}

/** @param approved or denied */
function answer(cli: Cli, approved: boolean): (id: string, options: AnswerOptions) => Promise<void> {
  return async (id, options) => {
    const { reason } = options;
    const given = { id, approved, ...(reason === undefined ? {} : { reason }) };
    const hold = await clientFor(options).answerHold(given);
    cli.stdout.write(`${approved ? 'approved' : 'denied'}: ${summary(hold)}\n`);
    cli.exitCode = EXIT_OK;
  };
}

async function showHolds(cli: Cli, options: ListOptions): Promise<number> {
  const { holds } = await clientFor(options).holds();
  if (options.output === 'json') for (const hold of holds) cli.stdout.write(`${safeJson(hold)}\n`);
  else if (holds.length === 0) cli.stdout.write('nothing waits\n');
  else {
    const printer = tablePrinter(cli, holds.map(holdRow));
    for (const hold of holds) printer(hold);
  }
  return EXIT_OK;
}

/** Until the daemon ends; the header of a table comes at once, to show that it waits. */
async function followHolds(cli: Cli, options: ListOptions): Promise<number> {
  const print =
    options.output === 'json'
      ? (hold: HoldStatus): void => void cli.stdout.write(`${safeJson(hold)}\n`)
      : tablePrinter(cli, [TYPICAL_HOLD_ROW]);
  for await (const event of clientFor(options).followHolds()) {
    if (event.type === 'hold') print(event.hold);
    else if (event.type === 'end') {
      printError(cli.stderr, 'the daemon stopped');
      return EXIT_NOT_RUNNING;
    } else if (event.type === 'cut') {
      const hint = 'the output was read too slowly; see `sluice holds` for what waits';
      printError(cli.stderr, `cut off: ${event.missed} were not shown`, hint);
      return EXIT_FAILURE;
    }
  }
  return EXIT_OK;
}

function tablePrinter(cli: Cli, samples: readonly (readonly string[])[]): (hold: HoldStatus) => void {
  const table = new Table(HOLD_COLUMNS, samples, widthOf(cli.stdout), painterFor(cli.stdout, cli.env));
  cli.stdout.write(`${table.header()}\n`);
  return (hold) => void cli.stdout.write(`${table.row(holdRow(hold))}\n${holdDetails(hold)}`);
}

function summary({ verbs, objects, agent }: HoldStatus): string {
  return safeText(`${verbs.join(', ')} ${objects.join(', ')} by ${agent ?? 'an unknown agent'}`);
}
