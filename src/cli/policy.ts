/** `sluice policy`: check and explain work offline; apply gives the document to the daemon. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { CompiledPolicy } from '../policy/types.ts';
import { type Cli, clientFor, runtimeDirOption } from './cli.ts';
import { registerExplain } from './policy-explain.ts';
import { printProblem, reportError } from './report-error.ts';
import { safeText } from './terminal.ts';
import { counted } from './units.ts';

export function registerPolicy(program: Command, cli: Cli): void {
  const policy = program.command('policy').description('check, explain or apply a policy');
  registerCheck(policy, cli);
  registerExplain(policy, cli, (file) => readPolicy(cli, file));
  registerApply(policy, cli);
}

function registerCheck(policy: Command, cli: Cli): void {
  policy
    .command('check')
    .description('say whether a policy is valid; needs no daemon')
    .argument('<file>', 'the policy, YAML')
    .addHelpText(
      'after',
      `
Example:
  sluice policy check /etc/sluice/policy.yaml

Problems are written as FILE:LINE:COLUMN: what is wrong, with a hint below.

Exit codes: 0 valid, 1 it has problems, 2 wrong use or unreadable file.`,
    )
    .action(async (file: string) => {
      try {
        const { revision, agents, destinations, rules } = await readPolicy(cli, file);
        const counts = [
          counted(agents.length, 'agent'),
          counted(destinations.length, 'destination'),
          counted(rules.length, 'rule'),
        ];
        cli.stdout.write(`${safeText(file)}: valid, revision ${revision} (${counts.join(', ')})\n`);
      } catch (error) {
        cli.exitCode = reportError(cli, error, file);
      }
    });
}

function registerApply(policy: Command, cli: Cli): void {
  policy
    .command('apply')
    .description('put a policy in force; a bad one leaves the old in force')
    .argument('<file>', 'the policy, YAML')
    .addOption(runtimeDirOption())
    .addHelpText(
      'after',
      `
Example:
  sluice policy apply /etc/sluice/policy.yaml

From then on SIGHUP reads this file again. A daemon that is started anew begins with its own --policy.

Exit codes: 0 in force, 1 refused, 2 wrong use or unreadable file, 3 the daemon is not running.`,
    )
    .action(async (file: string, options: { readonly runtimeDir: string }) => {
      try {
        const { readDocument } = await import('../policy/read-file.ts');
        const document = { path: resolve(file), text: readDocument(file) };
        const { revision } = await clientFor(options).applyPolicy(document);
        cli.stdout.write(`${safeText(file)}: in force, revision ${revision}\n`);
      } catch (error) {
        cli.exitCode = reportError(cli, error, file);
      }
    });
}

/** Warnings are printed; problems are thrown. */
async function readPolicy(cli: Cli, file: string): Promise<CompiledPolicy> {
  // YAML and JSON Schema are most of what this program could load; only these commands need them.
  const { loadPolicy } = await import('../policy/load.ts');
  return loadPolicy(file, {
    onWarning: (problem) => printProblem(cli.stderr, file, problem, 'warning: '),
  });
}
