/** `sluice help [TOPIC]`: the help of a command, or of a topic that is no command. */
import type { Command } from 'commander';
import type { Cli } from './cli.ts';
import { EXIT_CODES_HELP, EXIT_OK, EXIT_USAGE } from './exit-codes.ts';
import { printError } from './report-error.ts';

export function registerHelp(program: Command, cli: Cli): void {
  program
    .command('help')
    .description('show help for a command, or for the topic "exit-codes"')
    .argument('[topic...]', 'a command, or exit-codes')
    .action((topic: string[]) => {
      cli.exitCode = showHelp(program, cli, topic);
    });
}

function showHelp(program: Command, cli: Cli, topic: readonly string[]): number {
  if (topic.length === 1 && topic[0] === 'exit-codes') {
    cli.stdout.write(EXIT_CODES_HELP);
    return EXIT_OK;
  }
  let command: Command | undefined = program;
  for (const name of topic) command = command?.commands.find((one) => one.name() === name);
  if (command === undefined) {
    printError(cli.stderr, `no help on ${topic.join(' ')}`, 'see: sluice help');
    return EXIT_USAGE;
  }
  command.outputHelp();
  return EXIT_OK;
}
