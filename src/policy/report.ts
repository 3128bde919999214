/**
 * Collects problems by JSON Pointer while a document is checked, and knows which parts are already known to be
 * wrong, so that one slip is told once and not again by every check that builds on it.
 */
import { displayPath, type Place, type PolicySource } from './positions.ts';
import type { Problem } from './problems.ts';

export class Report {
  readonly #source: PolicySource;
  readonly #tainted = new Set<string>();
  readonly errors: Problem[];
  readonly warnings: Problem[] = [];

  constructor(source: PolicySource) {
    this.#source = source;
    this.errors = [...source.problems];
  }

  /** A wrong value. */
  error(pointer: string, message: string, hint: string | null = null): void {
    this.#taint(pointer);
    this.errors.push(problem(this.#source.placeOf(pointer), pointer, message, hint));
  }

  /** A key that should not be there; the value beside it is not in doubt. */
  errorAtKey(pointer: string, message: string, hint: string | null): void {
    this.errors.push(problem(this.#source.placeOfKey(pointer), pointer, message, hint));
  }

  warning(pointer: string, message: string, hint: string | null): void {
    this.warnings.push(problem(this.#source.placeOf(pointer), pointer, message, hint));
  }

  /** Whether nothing has been found wrong at or below a place. */
  isClean(pointer: string): boolean {
    return !this.#tainted.has(pointer);
  }

  lineOf(pointer: string): number {
    return this.#source.placeOf(pointer).line;
  }

  #taint(pointer: string): void {
    for (let at = pointer; ; at = at.slice(0, at.lastIndexOf('/'))) {
      this.#tainted.add(at);
      if (at === '') return;
    }
  }
}

function problem(place: Place, pointer: string, message: string, hint: string | null): Problem {
  return { line: place.line, column: place.column, path: displayPath(pointer), message, hint };
}
