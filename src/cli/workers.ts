/** `sluice workers restart`: new worker processes, one after the other, while open flows go on in the old ones. */
import type { Command } from 'commander';
import { type Cli, clientFor, runtimeDirOption } from './cli.ts';
import { EXIT_OK } from './exit-codes.ts';
import { formatTime } from './units.ts';

interface WorkersOptions {
  readonly runtimeDir: string;
}

export function registerWorkers(program: Command, cli: Cli): void {
  const workers = program.command('workers').description('replace the worker processes');
  workers
    .command('restart')
    .description('replace them one after the other; open flows go on in the old ones')
    .addOption(runtimeDirOption())
    .addHelpText(
      'after',
      `
The new worker takes connections before the old one takes none any more. The old one ends with its last flow, or when
the daemon's --drain-timeout has passed; "sluice status" shows it as draining until then.

Example:
  sluice workers restart

Exit codes: 0 replaced, 1 a new worker did not start and the old one goes on, 3 the daemon is not running.`,
    )
    .action(async (options: WorkersOptions) => {
      const { draining } = await clientFor(options).restartWorkers();
      cli.stdout.write('every worker was replaced\n');
      for (const { pid, openFlows, until } of draining)
        cli.stdout.write(
          `process ${pid} carries ${openFlows} flows to their end, until ${formatTime(until)}\n`,
        );
      cli.exitCode = EXIT_OK;
    });
}
