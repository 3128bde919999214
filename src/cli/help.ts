/** `sluice help [TOPIC]` and `sluice GROUP help [TOPIC]`: the help of a command, or of a topic that is no command. */
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

/** In place of commander's, which answers an unknown name with the help of the group and does not say what is unknown. */
export function registerGroupHelp(group: Command, cli: Cli): void {
  group
    .command('help')
    .description('show help for a command')
    .argument('[command...]', 'a command')
    .action((names: string[]) => {
      cli.exitCode = showCommandHelp(group, cli, names);
    });
}

function showHelp(program: Command, cli: Cli, topic: readonly string[]): number {
  if (topic.length === 1 && topic[0] === 'exit-codes') {
    cli.stdout.write(EXIT_CODES_HELP);
    return EXIT_OK;
  }
  return showCommandHelp(program, cli, topic);
}

/** `names`: those of a command below `top`. */
function showCommandHelp(top: Command, cli: Cli, names: readonly string[]): number {
  let command: Command | undefined = top;
  for (const name of names) command = command?.commands.find((one) => one.name() === name);
  if (command === undefined) {
    const group = top.parent === null ? '' : ` ${top.name()}`;
    printError(cli.stderr, `no help on${group} ${names.join(' ')}`, `see: sluice${group} help`);
    return EXIT_USAGE;
  }
  command.outputHelp();
  return EXIT_OK;
}
