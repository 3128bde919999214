/** Keeps answers in test/bypass/results as they become known, so that a run that is cut short has left what it knew. */
import { joined, keep, keptFor, writeDocument } from './document.ts';
import type { Cell, MatrixResult } from './types.ts';

export class Keeper {
  readonly #resumes: boolean;
  readonly #before = new Map<string, readonly Cell[]>();

  /** @param resumes adds to what is kept of the kernel and tier, where else it takes its place */
  constructor(resumes: boolean) {
    this.#resumes = resumes;
  }

  /** @param known all of this run, up to now */
  take(known: MatrixResult): void {
    const key = `${known.kernel} ${known.tier}`;
    const before = this.#before.get(key) ?? (this.#resumes ? (keptFor(known)?.cells ?? []) : []);
    this.#before.set(key, before);
    keep({ ...known, cells: joined(before, known.cells) });
  }

  /** Writes the document anew, if anything was kept. */
  close(): void {
    if (this.#before.size > 0) writeDocument();
  }
}
