/** The command line as a whole: which commands there are, and how wrong use is answered. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import type { Cli, Register } from './cli.ts';
import { EXIT_OK, EXIT_USAGE } from './exit-codes.ts';
import { reportError } from './report-error.ts';
import { safeText } from './terminal.ts';

/** In the order of the help. Each is imported only when it is asked for: reading TypeScript takes time at every start. */
const COMMANDS: ReadonlyMap<string, () => Promise<Register>> = new Map([
  ['daemon', async () => (await import('./daemon.ts')).registerDaemon],
  ['run', async () => (await import('./run.ts')).registerRun],
  ['enrol', async () => (await import('./enrol.ts')).registerEnrol],
  ['agents', async () => (await import('./agents.ts')).registerAgents],
  ['status', async () => (await import('./status.ts')).registerStatus],
  ['flows', async () => (await import('./flows.ts')).registerFlows],
  ['holds', async () => (await import('./holds.ts')).registerHolds],
  ['workers', async () => (await import('./workers.ts')).registerWorkers],
  ['policy', async () => (await import('./policy.ts')).registerPolicy],
  ['unit', async () => (await import('./unit.ts')).registerUnit],
  ['doctor', async () => (await import('./doctor.ts')).registerDoctor],
  ['uninstall', async () => (await import('./uninstall.ts')).registerUninstall],
  ['help', async () => (await import('./help.ts')).registerHelp],
]);

/** Runs one command line, without the names of interpreter and script, and gives its exit code. */
export async function runProgram(cli: Cli, args: readonly string[]): Promise<number> {
  try {
    const program = await createProgram(cli, args[0]);
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    return reportError(cli, error);
  }
  return cli.exitCode;
}

/** With the one command that is wanted; with all of them if that is none, for the help and for suggestions. */
async function createProgram(cli: Cli, wanted = ''): Promise<Command> {
  const program = new Command('sluice')
    .description(
      'Every connection of an agent leaves this host as verified TLS, under its own identity, on the record.',
    )
    .version(packageVersion(), '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show help')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => cli.stdout.write(text),
      writeErr: (text) => cli.stderr.write(text),
      outputError: (text, write) => write(usageError(text)),
    })
    .showHelpAfterError('  hint: add --help, or see: sluice help')
    .addHelpText(
      'after',
      `
Examples:
  sudo sluice daemon --policy /etc/sluice/policy.yaml
  sudo sluice run -- curl http://shop.example.org/
  sudo sluice flows --follow

Exit codes: sluice help exit-codes`,
    );
  program.helpCommand(false);
  const one = wanted === 'help' ? undefined : COMMANDS.get(wanted);
  for (const load of one === undefined ? COMMANDS.values() : [one]) (await load())(program, cli);
  for (const command of program.commands)
    if (command.commands.length > 0) (await import('./help.ts')).registerGroupHelp(command, cli);
  return program;
}

/** Commander's message in the form of all others; it may quote what was typed. */
function usageError(text: string): string {
  const [message = '', ...suggestions] = text
    .replace(/^error: /, '')
    .trimEnd()
    .split('\n');
  // A suggestion comes in parentheses.
  const hints = suggestions.map((line) => `  hint: ${safeText(line.replace(/^\((.*)\)$/, '$1'))}\n`);
  return [`sluice: ${safeText(message)}\n`, ...hints].join('');
}

function packageVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { readonly version: string };
  return version;
}
