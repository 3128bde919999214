/** What is wrong with a policy document, all of it at once, each with the place and the mend. */
import { SluiceError } from '../core/errors.ts';

export interface Problem {
  /** Place in the document, both from 1. */
  readonly line: number;
  readonly column: number;
  /** The same place as a path of keys: `rules[0].agents[1]`; empty for the document as a whole. */
  readonly path: string;
  readonly message: string;
  readonly hint: string | null;
}

/** Thrown with every error found, in the order of the document. `file` is the policy file. */
export class PolicyError extends SluiceError {
  readonly file: string;
  readonly problems: readonly Problem[];

  constructor(file: string, problems: readonly Problem[]) {
    super('POLICY', problems.map((problem) => formatProblem(file, problem)).join('\n'));
    this.name = 'PolicyError';
    this.file = file;
    this.problems = problems;
  }
}

/** One line in the form compilers use, so that editors can jump to it. */
export function formatProblem(file: string, problem: Problem): string {
  const where = `${file}:${problem.line}:${problem.column}`;
  const path = problem.path === '' ? '' : `${problem.path}: `;
  const hint = problem.hint === null ? '' : ` (${problem.hint})`;
  return `${where}: ${path}${problem.message}${hint}`;
}

/** By place; problems at one place keep the order they were found in. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  return [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
}
