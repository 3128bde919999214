/** Policies for tests: from a text, without files unless some are given. */
import { readFileSync } from 'node:fs';
import { type CompileOptions, compilePolicy } from '#src/policy/load.ts';
import { PolicyError } from '#src/policy/problems.ts';
import type { CompiledPolicy } from '#src/policy/types.ts';

const FIXTURES = new URL('../fixtures/policy/', import.meta.url).pathname;

/** A clock at which every fixture certificate is valid. */
export const FIXTURE_TIME_MS = Date.UTC(2050, 0, 1);

export function fixture(name: string): string {
  return readFileSync(`${FIXTURES}${name}`, 'utf8');
}

/** As if the document stood in the directory of the fixtures. `version: 1` is put before the text. */
export function policyOf(text: string, options: Partial<CompileOptions> = {}): CompiledPolicy {
  return compilePolicy(`version: 1\n${text}`, {
    path: `${FIXTURES}policy.yaml`,
    readFile: (path) => readFileSync(path),
    nowMs: FIXTURE_TIME_MS,
    ...options,
  });
}

/** The errors of a document, one line each: `LINE:COLUMN PATH: MESSAGE | HINT`. Line 1 is `version: 1`. */
export function errorsOf(text: string, options: Partial<CompileOptions> = {}): string[] {
  try {
    policyOf(text, options);
    return [];
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return error.problems.map(
      ({ line, column, path, message, hint }) => `${line}:${column} ${path}: ${message} | ${hint ?? ''}`,
    );
  }
}

/** The warnings of a valid document, in the same form. */
export function warningsOf(text: string, options: Partial<CompileOptions> = {}): string[] {
  const warnings: string[] = [];
  policyOf(text, {
    ...options,
    onWarning: ({ line, column, path, message, hint }) =>
      warnings.push(`${line}:${column} ${path}: ${message} | ${hint ?? ''}`),
  });
  return warnings;
}
