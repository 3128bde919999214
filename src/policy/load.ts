/**
 * From a policy file to a compiled policy, or to every problem in it. Nothing is ever half loaded: a caller
 * either gets a whole policy or keeps the one it had.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { messageOf } from '../core/errors.ts';
import { checkMeaning } from './check/check.ts';
import { compileDocument } from './compile.ts';
import type { PolicyDocument } from './document.ts';
import { PolicyFiles, type ReadFile } from './files.ts';
import { PEM_MAX_BYTES } from './pem.ts';
import { DOCUMENT_MAX_BYTES, readSource } from './positions.ts';
import { PolicyError, type Problem, sortProblems } from './problems.ts';
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

/** Reads the document and the PEM files it names. Throws `PolicyError`, also when the file cannot be read. */
export function loadPolicy(path: string, options: LoadOptions = {}): CompiledPolicy {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(readBounded(path, DOCUMENT_MAX_BYTES));
  } catch (error) {
    throw new PolicyError(path, [
      { line: 1, column: 1, path: '', message: `cannot be read: ${messageOf(error)}`, hint: null },
    ]);
  }
  return compilePolicy(text, { ...options, path, readFile: (file) => readBounded(file, PEM_MAX_BYTES) });
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

/** At most one byte more than `maxBytes`, enough for the caller to see that it is too much; works on pipes. */
function readBounded(path: string, maxBytes: number): Uint8Array {
  const fd = openSync(path, 'r');
  try {
    const chunks: Buffer[] = [];
    for (let left = maxBytes + 1; left > 0; ) {
      const chunk = Buffer.alloc(Math.min(left, 64 * 1024));
      const read = readSync(fd, chunk);
      if (read === 0) break;
      chunks.push(chunk.subarray(0, read));
      left -= read;
    }
    return Buffer.concat(chunks);
  } finally {
    closeSync(fd);
  }
}
