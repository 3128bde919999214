/**
 * `sluice run`: a command as an agent. It is never run unprotected: without a daemon, or a cgroup that is
 * enrolled, nothing is started.
 */
import { rmdirSync } from 'node:fs';
import { constants } from 'node:os';
import { basename } from 'node:path';
import type { Command } from 'commander';
import type { ApiClient } from '../api/client.ts';
import type { RunGranted } from '../api/types.ts';
import { messageOf, SluiceError } from '../core/errors.ts';
import { type Cli, clientFor, runtimeDirOption } from './cli.ts';
import { exitCodeOf, spawnInCgroup } from './enter.ts';
import { EXIT_RUN_FAILED, EXIT_SIGNAL_BASE } from './exit-codes.ts';
import { findCommand } from './find-command.ts';
import { printError } from './report-error.ts';
import { ignoredSignals, SignalForwarder } from './signals.ts';

/** Set by bin/sluice; no business of the command's. */
const MASK_VARIABLE = 'SLUICE_IGNORED_SIGNALS';

interface RunOptions {
  readonly as?: string;
  readonly runtimeDir: string;
}

export function registerRun(program: Command, cli: Cli): void {
  program
    .command('run')
    .description('run a command as an agent')
    .argument('<command...>', 'the command and its arguments')
    .option('--as <name>', "the agent's name in the policy (default: the last part of the command's path)")
    .addOption(runtimeDirOption())
    // What follows the command is the command's, whether or not "--" stands before it.
    .passThroughOptions()
    .addHelpText(
      'after',
      `
Examples:
  sluice run -- curl http://shop.example.org/
  sluice run --as billing -- psql "host=db.example.org sslmode=disable"

The command keeps its terminal, standard input and output, and environment. Signals sent to "sluice run" reach
the command. Without a daemon it is not run.

Exit codes: that of the command, 128+N if signal N ended it, 2 wrong use, 125 Sluice failed and it was not run, 126 it cannot be
executed, 127 it was not found.`,
    )
    .action(async (command: string[], options: RunOptions) => {
      cli.exitCode = await run(cli, command, options);
    });
}

async function run(cli: Cli, command: readonly string[], options: RunOptions): Promise<number> {
  const name = command[0] ?? '';
  const found = findCommand(name, cli.env['PATH'], process.cwd());
  if (found.kind === 'missing') {
    printError(cli.stderr, found.message);
    return found.exitCode;
  }
  const { [MASK_VARIABLE]: mask, ...env } = cli.env;
  const ignored = ignoredSignals(mask);
  const signals = new SignalForwarder(ignored);
  try {
    const client = clientFor(options);
    const granted = await requestCgroup(cli, client, options.as ?? basename(name));
    if (granted === null) return EXIT_RUN_FAILED;
    try {
      if (signals.early !== null) return EXIT_SIGNAL_BASE + constants.signals[signals.early];
      // The shell's `exec` would take a name that begins with a dash for an option.
      const first = name.startsWith('-') ? found.path : name;
      const child = spawnInCgroup([first, ...command.slice(1)], {
        cgroupPath: granted.cgroupPath,
        env,
        ignored,
      });
      signals.attach(child);
      return await exitCodeOf(child);
    } finally {
      await release(cli, client, granted.cgroupPath);
    }
  } catch (error) {
    printError(cli.stderr, `cannot run ${name}: ${messageOf(error)}`);
    return EXIT_RUN_FAILED;
  } finally {
    signals.stop();
  }
}

/** Null: refused, and the reason is printed. */
async function requestCgroup(cli: Cli, client: ApiClient, name: string): Promise<RunGranted | null> {
  try {
    const granted = await client.createRun(name);
    if (!granted.agentKnown) {
      const hint = 'nothing is allowed to it; give it a name of the policy with --as NAME';
      printError(cli.stderr, `warning: no agent of the policy is named ${name}`, hint);
    }
    return granted;
  } catch (error) {
    const hint = error instanceof SluiceError ? error.hint : undefined;
    printError(cli.stderr, `not run, because it would be unprotected: ${messageOf(error)}`, hint);
    return null;
  }
}

/** What the command started may live on in its cgroup; then it stays, and stays enrolled. */
async function release(cli: Cli, client: ApiClient, cgroupPath: string): Promise<void> {
  try {
    await client.releaseRun(cgroupPath);
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== 'NOT_RUNNING') {
      printError(cli.stderr, `warning: the cgroup ${cgroupPath} was not removed: ${messageOf(error)}`);
      return;
    }
    try {
      rmdirSync(cgroupPath);
    } catch {
      // The daemon is gone and somebody still runs there: the next daemon finds it.
    }
  }
}
