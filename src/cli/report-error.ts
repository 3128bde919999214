/** How a failure looks: `sluice: message`, and below it the mend; for a policy, one place after the other. */
import { problemsOf } from '../api/errors.ts';
import { messageOf, SluiceError } from '../core/errors.ts';
import type { Problem } from '../policy/problems.ts';
import type { Cli, Output } from './cli.ts';
import { EXIT_FAILURE, EXIT_NOT_RUNNING, EXIT_USAGE } from './exit-codes.ts';
import { safeText } from './terminal.ts';

/** Lines after the first of a message are set in, so that none can be taken for a line of ours. */
export function printError(stderr: Output, message: string, hint?: string | null): void {
  stderr.write(`sluice: ${message.split('\n').map(safeText).join('\n    ')}\n`);
  if (hint !== undefined && hint !== null) stderr.write(`  hint: ${safeText(hint)}\n`);
}

/** As compilers do it, so that editors find the place. */
export function printProblem(out: Output, file: string, problem: Problem, kind = ''): void {
  const where = problem.path === '' ? '' : `${problem.path}: `;
  const text = `${file}:${problem.line}:${problem.column}: ${kind}${where}${problem.message}`;
  out.write(`${safeText(text)}\n`);
  if (problem.hint !== null) out.write(`  hint: ${safeText(problem.hint)}\n`);
}

/** Prints what was thrown and gives the exit code it stands for. `file`: the policy that `problems` are in. */
export function reportError(cli: Cli, error: unknown, file = 'policy'): number {
  const problems = problemsOf(error);
  if (problems.length > 0) {
    for (const problem of problems) printProblem(cli.stderr, file, problem);
    return EXIT_FAILURE;
  }
  if (error instanceof SluiceError) {
    printError(cli.stderr, error.message, error.hint);
    return exitCodeOf(error);
  }
  printError(cli.stderr, `internal error: ${messageOf(error)}`, 'SLUICE_DEBUG=1 shows where it happened');
  if (cli.env['SLUICE_DEBUG'] === '1' && error instanceof Error)
    cli.stderr.write(`${safeLines(error.stack)}\n`);
  return EXIT_FAILURE;
}

function exitCodeOf(error: SluiceError): number {
  if (error.code === 'NOT_RUNNING') return EXIT_NOT_RUNNING;
  return error.code === 'CONFIG' ? EXIT_USAGE : EXIT_FAILURE;
}

function safeLines(text = ''): string {
  return text.split('\n').map(safeText).join('\n');
}
