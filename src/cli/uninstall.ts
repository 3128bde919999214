/** `sluice uninstall`: the one command that opens the gate. At a terminal it asks first; never while a daemon runs. */
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { SluiceError } from '../core/errors.ts';
import { type Cli, clientFor, pinDirOption, runtimeDirOption } from './cli.ts';
import { EXIT_FAILURE, EXIT_OK } from './exit-codes.ts';
import { printError } from './report-error.ts';
import { safeText } from './terminal.ts';

interface UninstallCommandOptions {
  readonly yes?: true;
  readonly runtimeDir: string;
  readonly pinDir: string;
}

export function registerUninstall(program: Command, cli: Cli): void {
  program
    .command('uninstall')
    .description('detach the programs from the kernel: agents are governed no longer')
    .option('-y, --yes', 'do not ask, at a terminal either')
    .addOption(runtimeDirOption())
    .addOption(pinDirOption())
    .addHelpText(
      'after',
      `
Example:
  systemctl stop sluice && sluice uninstall --yes

Stopping the daemon does not open the gate: its programs stay in force and agents cannot connect. This command
removes them. Recorded flows are kept.

Exit codes: 0 removed, or nothing was there; 1 a daemon runs, or it failed; 2 wrong use.`,
    )
    .action(async (options: UninstallCommandOptions) => {
      cli.exitCode = await uninstall(cli, options);
    });
}

async function uninstall(cli: Cli, options: UninstallCommandOptions): Promise<number> {
  await refuseWhileRunning(options);
  // Where nobody can be asked, the command itself is the answer.
  if (options.yes !== true && process.stdin.isTTY === true && !(await ask(options.pinDir))) {
    printError(cli.stderr, 'nothing was removed');
    return EXIT_FAILURE;
  }
  const removed = await cli.parts.uninstall({
    runtimeDirectory: options.runtimeDir,
    pinDirectory: options.pinDir,
  });
  for (const one of removed) cli.stdout.write(`removed ${safeText(one)}\n`);
  if (removed.length === 0) cli.stdout.write('nothing to remove\n');
  return EXIT_OK;
}

/** Whoever answers, in whatever way, is a daemon; only silence is none. */
async function refuseWhileRunning(options: UninstallCommandOptions): Promise<void> {
  try {
    await clientFor(options).status();
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'NOT_RUNNING') return;
    throw error;
  }
  throw new SluiceError('ALREADY_RUNNING', 'a daemon is running', {
    hint: 'stop it first: systemctl stop sluice',
  });
}

async function ask(pinDir: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const question = `Detach Sluice (${pinDir})? What are agents now will connect in plain text. [y/N] `;
  try {
    return /^y(es)?$/i.test((await terminal.question(question)).trim());
  } finally {
    terminal.close();
  }
}
