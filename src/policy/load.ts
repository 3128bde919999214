/**
 * From a policy file to a compiled policy, or to every problem in it. Nothing is ever half loaded: a caller
 * either gets a whole policy or keeps the one it had.
 */
import { checkMeaning } from './check/check.ts';
import { compileDocument } from './compile.ts';
import type { PolicyDocument } from './document.ts';
import { PolicyFiles, type ReadFile } from './files.ts';
import { readSource } from './positions.ts';
import { PolicyError, type Problem, sortProblems } from './problems.ts';
import { readDocument, readNamedFile } from './read-file.ts';
import { Report } from './report.ts';
import type { CompiledPolicy } from './types.ts';
import { checkForm } from './validate.ts';

/** Nobody reads more; a document of the largest size can hold some hundred thousand. */
const PROBLEMS_MAX = 1000;

export interface LoadOptions {
  /** Gets what is doubtful but no error, such as an expired certificate, in the order of the document. */
  readonly onWarning?: ((problem: Problem) => void) | undefined;
  /** Milliseconds since the Unix epoch, against which certificates are checked. Default: now. */
  readonly nowMs?: number | undefined;
}

export interface CompileOptions extends LoadOptions {
  /** Path of the document: stands in errors, and the paths of PEM files are relative to its directory. */
  readonly path: string;
  readonly readFile: ReadFile;
}

/**
 * Reads the document and the files it names.
 *
 * @throws PolicyError with every problem in it; SluiceError CONFIG when there is no document to be read
 */
export function loadPolicy(path: string, options: LoadOptions = {}): CompiledPolicy {
  return compilePolicy(readDocument(path), { ...options, path, readFile: readNamedFile });
}

/** Throws `PolicyError` with every error (the first thousand if there are more), sorted by place. */
export function compilePolicy(text: string, options: CompileOptions): CompiledPolicy {
  const source = readSource(text);
  const report = new Report(source);
  const files = new PolicyFiles(options.path, options.readFile);
  if (source.value !== undefined) {
    checkForm(report, source.value);
    checkMeaning(report, source.value, files, options.nowMs ?? Date.now());
  }
  for (const warning of sortProblems(report.warnings)) options.onWarning?.(warning);
  if (report.errors.length > 0 || source.value === undefined) {
    throw new PolicyError(options.path, bounded(sortProblems(report.errors)));
  }
  return compileDocument(source.value as PolicyDocument, files, files.revision(text));
}

function bounded(problems: readonly Problem[]): readonly Problem[] {
  const next = problems[PROBLEMS_MAX];
  if (next === undefined) return problems;
  const message = `${problems.length - PROBLEMS_MAX} more problems from here on`;
  return [...problems.slice(0, PROBLEMS_MAX), { ...next, path: '', message, hint: null }];
}
