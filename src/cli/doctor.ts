/** `sluice doctor`: whether this host can run Sluice, and whether Sluice does what it should on it; with the mends. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import type { Command } from 'commander';
import { messageOf, SluiceError } from '../core/errors.ts';
import { addon, buildPaths } from '../kernel/addon.ts';
import { activeModules } from '../kernel/lsm.ts';
import { type Cli, clientFor, outputOption, pinDirOption, runtimeDirOption } from './cli.ts';
import {
  type BuildFacts,
  checkBpffs,
  checkBtf,
  checkBuild,
  checkCanary,
  checkCapabilities,
  checkCgroup,
  checkDaemon,
  checkKernel,
  checkNamespaces,
  checkPrograms,
  checkTier,
  checkWorkerUser,
  type Finding,
  type StatusOrError,
} from './doctor-checks.ts';
import { EXIT_FAILURE, EXIT_OK } from './exit-codes.ts';
import { type Paint, painterFor, safeJson, safeText } from './terminal.ts';

interface DoctorOptions {
  readonly workerUser: string;
  readonly output: 'table' | 'json';
  readonly runtimeDir: string;
  readonly pinDir: string;
}

interface Check {
  readonly name: string;
  /** Null: nothing to say. */
  run(): Finding | null | Promise<Finding | null>;
}

export function registerDoctor(program: Command, cli: Cli): void {
  program
    .command('doctor')
    .description('check the host and the running daemon, and say how to mend what is wrong')
    .option('--worker-user <user>', 'user the workers run as', 'sluice')
    .addOption(outputOption())
    .addOption(runtimeDirOption())
    .addOption(pinDirOption())
    .addHelpText(
      'after',
      `
Example:
  sudo sluice doctor

Each line is ok, warn or FAIL, with the mend below. The last check makes a real connection as an agent.

Exit codes: 0 no check failed, 1 at least one did, 2 wrong use.`,
    )
    .action(async (options: DoctorOptions) => {
      cli.exitCode = await examine(cli, options);
    });
}

async function examine(cli: Cli, options: DoctorOptions): Promise<number> {
  const painter = painterFor(cli.stdout, cli.env);
  let failed = 0;
  for (const check of checksOf(cli, options)) {
    const finding = await runCheck(check);
    if (finding === null) continue;
    if (finding.level === 'fail') failed += 1;
    if (options.output === 'json') {
      cli.stdout.write(`${safeJson({ check: check.name, ...finding })}\n`);
      continue;
    }
    const mark = painter(LEVEL_TEXT[finding.level], LEVEL_PAINT[finding.level]);
    cli.stdout.write(`${mark}  ${check.name.padEnd(12)}  ${safeText(finding.text)}\n`);
    if (finding.mend !== null) cli.stdout.write(`      mend: ${safeText(finding.mend)}\n`);
  }
  return failed === 0 ? EXIT_OK : EXIT_FAILURE;
}

const LEVEL_TEXT: Readonly<Record<Finding['level'], string>> = { ok: 'ok  ', warn: 'warn', fail: 'FAIL' };
const LEVEL_PAINT: Readonly<Record<Finding['level'], Paint>> = { ok: 'green', warn: 'yellow', fail: 'red' };

/** In the order one thing needs the other. */
function checksOf(cli: Cli, options: DoctorOptions): readonly Check[] {
  const client = clientFor(options);
  let status: Promise<StatusOrError> | undefined;
  const statusOnce = (): Promise<StatusOrError> => {
    status ??= client.status().catch(asSluiceError);
    return status;
  };
  return [
    { name: 'kernel', run: () => checkKernel(release()) },
    { name: 'btf', run: () => checkBtf(existsSync('/sys/kernel/btf/vmlinux')) },
    { name: 'cgroup', run: () => checkCgroup(readFileSync('/proc/self/mountinfo', 'utf8')) },
    { name: 'capabilities', run: () => checkCapabilities(readFileSync('/proc/self/status', 'utf8')) },
    { name: 'bpffs', run: () => checkBpffs(readFileSync('/proc/self/mountinfo', 'utf8')) },
    { name: 'build', run: () => checkBuild(buildFacts()) },
    {
      name: 'worker user',
      run: () => checkWorkerUser(options.workerUser, readFileSync('/etc/passwd', 'utf8')),
    },
    { name: 'daemon', run: async () => checkDaemon(await statusOnce()) },
    {
      name: 'programs',
      run: async () => {
        const answer = await statusOnce();
        const pins = answer instanceof SluiceError ? await cli.parts.describePins(options.pinDir) : null;
        return checkPrograms(answer, pins);
      },
    },
    { name: 'tier', run: async () => checkTier(await statusOnce(), activeModules()) },
    { name: 'namespaces', run: async () => checkNamespaces(await statusOnce()) },
    { name: 'canary', run: async () => checkCanary(await client.selfTest().catch(asSluiceError)) },
  ];
}

/** A check that breaks is a check that failed: the others still run. */
async function runCheck(check: Check): Promise<Finding | null> {
  try {
    return await check.run();
  } catch (error) {
    const hint = error instanceof SluiceError ? error.hint : undefined;
    return { level: 'fail', text: `cannot be checked: ${messageOf(error)}`, mend: hint ?? 'run it as root' };
  }
}

function asSluiceError(error: unknown): SluiceError {
  return error instanceof SluiceError ? error : new SluiceError('API', messageOf(error));
}

function buildFacts(): BuildFacts {
  let addonError: string | null = null;
  try {
    addon();
  } catch (error) {
    addonError = messageOf(error);
  }
  const objects = existsSync(buildPaths.objects) ? readdirSync(buildPaths.objects) : [];
  return {
    addonError,
    objects: objects.filter((name) => name.endsWith('.bpf.o')).length,
    canary: existsSync(buildPaths.canary),
  };
}
