/** What every command is given: where to write, what to call, and where to leave its exit code. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { ApiClient } from '../api/client.ts';
import { apiSocketPath, DEFAULT_PIN_DIR, DEFAULT_RUNTIME_DIR, DEFAULT_STATE_DIR } from '../api/paths.ts';
import type { Parts } from './parts.ts';
import type { MaybeTerminal } from './terminal.ts';

export interface Output extends MaybeTerminal {
  write(text: string): unknown;
}

export interface Cli {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: NodeJS.ProcessEnv;
  readonly parts: Parts;
  exitCode: number;
}

/** A command's file exports one of these; program.ts calls them in the order of the help. */
export type Register = (program: Command, cli: Cli) => void;

export function clientFor(options: { readonly runtimeDir: string }): ApiClient {
  return new ApiClient(apiSocketPath(options.runtimeDir));
}

export function runtimeDirOption(): Option {
  return new Option('--runtime-dir <dir>', "directory of the daemon's socket")
    .default(DEFAULT_RUNTIME_DIR)
    .env('SLUICE_RUNTIME_DIR');
}

export function stateDirOption(): Option {
  return new Option('--state-dir <dir>', 'directory of the flow store')
    .default(DEFAULT_STATE_DIR)
    .env('SLUICE_STATE_DIR');
}

export function pinDirOption(): Option {
  return new Option('--pin-dir <dir>', 'directory of the pins in bpffs')
    .default(DEFAULT_PIN_DIR)
    .env('SLUICE_PIN_DIR');
}

export function outputOption(): Option {
  return new Option('-o, --output <format>', 'for people, or for programs')
    .choices(['table', 'json'])
    .default('table');
}

/** A reader of whole numbers for commander, which turns what it throws into a usage error. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : -1;
    if (value < least || value > most)
      throw new InvalidArgumentError(`not a number from ${least} to ${most}`);
    return value;
  };
}
