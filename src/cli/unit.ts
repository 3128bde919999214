/** `sluice unit harden`: prints or installs the drop-in for the unit of an agent, or says what the unit lacks of it. */
import { execFile } from 'node:child_process';
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { errnoOf, messageOf, SluiceError } from '../core/errors.ts';
import type { Cli } from './cli.ts';
import { EXIT_FAILURE, EXIT_OK } from './exit-codes.ts';
import { checkUnitName, dropIn, isTemplate, MARKER, missing, PROPERTIES, parseShow } from './harden-unit.ts';
import { safeText } from './terminal.ts';

const UNITS = '/etc/systemd/system';
const FILE = '50-sluice.conf';
/** systemd answers at once, or hangs. */
const SYSTEMCTL_TIMEOUT_MS = 30_000;

interface HardenOptions {
  readonly write?: true;
  readonly check?: true;
}

export function registerUnit(program: Command, cli: Cli): void {
  const unit = program
    .command('unit')
    .description('close what tier base leaves open, in the unit of an agent');
  unit
    .command('harden')
    .description('print a drop-in that takes from a unit what leads past Sluice')
    .argument('<unit>', 'a service, with its suffix; a template is one too')
    .option('--write', `install it, as ${UNITS}/UNIT.d/${FILE}`)
    .option('--check', 'say what the unit lacks of it, as systemd has the unit')
    .addHelpText(
      'after',
      `
Neither restarts the unit: what runs keeps what it has until you do. --write overwrites no file that it did not write.

Examples:
  sluice unit harden billing.service
  sluice unit harden --write worker@.service
  sluice unit harden --check worker@eu.service

Exit codes: 0 done, nothing is lacking; 1 --check: something is lacking, or it failed; 2 wrong use.`,
    )
    .action(async (name: string, options: HardenOptions) => {
      cli.exitCode = await harden(cli, name, options);
    });
}

async function harden(cli: Cli, unit: string, { write, check }: HardenOptions): Promise<number> {
  checkUnitName(unit);
  if (write === true && check === true)
    throw new SluiceError('CONFIG', '--write and --check are two steps', {
      hint: 'first --write, then systemctl daemon-reload, then --check',
    });
  if (check === true) return checkUnit(cli, unit);
  if (write !== true) {
    cli.stdout.write(dropIn(unit));
    return EXIT_OK;
  }
  cli.stdout.write(`wrote ${writeDropIn(UNITS, unit)}\n`);
  // A template runs as its instances, which are restarted by a pattern.
  const restarted = isTemplate(unit) ? `'${unit.replace('@.', '@*.')}'` : unit;
  cli.stdout.write(`next: systemctl daemon-reload && systemctl restart ${restarted}\n`);
  return EXIT_OK;
}

/**
 * Installs the drop-in below `units`, whole or not at all, and gives its path. Throws SluiceError `CONFIG` where another
 * file is in its place, `PERMISSION` where it may not be written.
 */
export function writeDropIn(units: string, unit: string): string {
  const directory = join(units, `${unit}.d`);
  const path = join(directory, FILE);
  const temporary = join(directory, `.${FILE}.${process.pid}`);
  try {
    if (!isOurs(path))
      throw new SluiceError('CONFIG', `${path} was not written by this command`, {
        hint: 'move it away, or add the lines to it that are printed without --write',
      });
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    const file = openSync(temporary, 'wx', 0o644);
    try {
      writeSync(file, dropIn(unit));
      fchmodSync(file, 0o644); // whatever the umask
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    const errno = errnoOf(error);
    if (errno === 'EACCES' || errno === 'EPERM' || errno === 'EROFS')
      throw new SluiceError('PERMISSION', `cannot write ${path}: ${errno}`, {
        hint: 'run it as root',
        cause: error,
      });
    throw error;
  }
  return path;
}

/** True where there is no file, too. */
function isOurs(path: string): boolean {
  try {
    return readFileSync(path, 'utf8').startsWith(`${MARKER} `);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true;
    throw error;
  }
}

async function checkUnit(cli: Cli, unit: string): Promise<number> {
  if (isTemplate(unit))
    throw new SluiceError('CONFIG', `${unit} is a template: systemd has its instances only`, {
      hint: `check an instance: sluice unit harden --check ${unit.replace('@.', '@NAME.')}`,
    });
  const properties = parseShow(await systemctlShow(unit));
  if (properties.get('LoadState') !== 'loaded')
    throw new SluiceError('API', `systemd has no unit ${unit}: ${properties.get('LoadState')}`, {
      hint: `see: systemctl status ${unit}`,
    });
  const lacks = missing(properties);
  for (const one of lacks) cli.stdout.write(`${safeText(one)}\n`);
  if (lacks.length === 0) {
    cli.stdout.write(`${unit} lacks nothing\n`);
    return EXIT_OK;
  }
  cli.stderr.write(`  hint: sluice unit harden --write ${unit} && systemctl daemon-reload\n`);
  return EXIT_FAILURE;
}

async function systemctlShow(unit: string): Promise<string> {
  const args = ['show', `--property=${PROPERTIES.join(',')}`, '--', unit];
  try {
    return (await promisify(execFile)('systemctl', args, { timeout: SYSTEMCTL_TIMEOUT_MS })).stdout;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT')
      throw new SluiceError('NOT_SUPPORTED', 'there is no systemctl', {
        hint: '--check asks systemd',
        cause: error,
      });
    throw new SluiceError(
      'API',
      `systemctl show ${unit} failed: ${messageOf(error).split('\n').at(-2) ?? ''}`,
      {
        hint: 'see: systemctl is-system-running',
        cause: error,
      },
    );
  }
}
