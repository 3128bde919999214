/** The masks of one flow in one direction, put together from the rules that policy has for it. */

import { masksDirection } from '../policy/masks.ts';
import { mayMeanColumn } from '../policy/name-pattern.ts';
import type { CompiledMask } from '../policy/types.ts';
import { strictest } from './action.ts';
import type { MaskEngine } from './engine.ts';
import { Finder } from './finder.ts';
import type { ColumnFacts, MaskedCell, Masker, MaskHit, ValueMasker } from './masker.ts';
import type { Plan, Treatment } from './plan.ts';
import { TextMasker } from './text-masker.ts';

/** Null: nothing is to be masked. @param direction `any`: whichever they are for */
export function makeMasker(
  engine: MaskEngine,
  rules: readonly CompiledMask[],
  direction: 'requests' | 'responses' | 'any',
): Masker | null {
  const own = rules.filter((rule) => direction === 'any' || masksDirection(rule, direction));
  return own.length === 0 ? null : new MaskSet(engine, own);
}

class MaskSet extends TextMasker implements Masker {
  readonly #engine: MaskEngine;
  readonly #rules: readonly CompiledMask[];
  #last: SortedColumns | null = null;

  constructor(engine: MaskEngine, rules: readonly CompiledMask[]) {
    super(engine, planOf(engine, rules.filter(isForAll)));
    this.#engine = engine;
    this.#rules = rules;
  }

  column(facts: ColumnFacts): ValueMasker | null {
    const rules = this.#rules.filter((rule) => isForAll(rule) || isFor(rule, facts));
    return rules.length === 0 ? null : new TextMasker(this.#engine, planOf(this.#engine, rules));
  }

  cells(
    bytes: Uint8Array,
    cells: Uint32Array,
    count: number,
    columns: readonly (ValueMasker | null)[],
  ): readonly MaskedCell[] {
    const { wanted, unsearched } = this.#sorted(columns);
    const result: MaskedCell[] = unsearched ? this.#unsearched(bytes, cells, count, columns) : [];
    const found = this.#engine.scanner.scan(bytes, cells, count, wanted);
    if (found === null) return result;
    for (let next = 0; next < found.length; ) {
      const cell = found[next] ?? 0;
      const masker = columns[cells[3 * cell + 2] ?? 0];
      if (!(masker instanceof TextMasker)) throw new Error('a text that was not to be searched');
      const start = cells[3 * cell] ?? 0;
      const end = cells[3 * cell + 1] ?? 0;
      const finder = new Finder(this.#engine, masker.plan, bytes, start, end);
      for (; found[next] === cell; next += 3) finder.needle(found[next + 1] ?? 0, found[next + 2] ?? 0);
      const masked = masker.masked(bytes, start, end, finder.finish());
      if (masked !== null) result.push({ cell, ...masked });
    }
    return unsearched ? result.sort((a, b) => a.cell - b.cell) : result;
  }

  /** Kept for as long as the columns are the same. */
  #sorted(columns: readonly (ValueMasker | null)[]): SortedColumns {
    if (this.#last?.columns === columns) return this.#last;
    const wanted = new Uint8Array(columns.length);
    let unsearched = false;
    for (const [i, masker] of columns.entries()) {
      if (!(masker instanceof TextMasker)) continue;
      const { whole, wholeHits, searching } = masker.plan;
      if (whole === null && searching && wholeHits.length === 0) wanted[i] = 1;
      else unsearched ||= whole !== null || wholeHits.length > 0;
    }
    this.#last = { columns, wanted, unsearched };
    return this.#last;
  }

  /** Those of columns that are masked or observed whole, one by one. */
  #unsearched(
    bytes: Uint8Array,
    cells: Uint32Array,
    count: number,
    columns: readonly (ValueMasker | null)[],
  ): MaskedCell[] {
    const result: MaskedCell[] = [];
    for (let cell = 0; cell < count; cell += 1) {
      const masker = columns[cells[3 * cell + 2] ?? 0];
      if (!(masker instanceof TextMasker) || masker.plan.wholeHits.length === 0) continue;
      const masked = masker.value(bytes.subarray(cells[3 * cell], cells[3 * cell + 1]));
      if (masked !== null) result.push({ cell, ...masked });
    }
    return result;
  }
}

interface SortedColumns {
  readonly columns: readonly (ValueMasker | null)[];
  /** By column: 1 where the scanner is all that is needed. */
  readonly wanted: Uint8Array;
  /** Whether there are columns whose values all count. */
  readonly unsearched: boolean;
}

/** A mask without columns and types is about every text there is. */
function isForAll({ columns, types }: CompiledMask): boolean {
  return columns.length === 0 && types.length === 0;
}

function isFor({ columns, types }: CompiledMask, facts: ColumnFacts): boolean {
  if (types.length > 0 && facts.type !== null && !types.includes(facts.type)) return false;
  return columns.length === 0 || columns.some((pattern) => mayMeanColumn(pattern, facts));
}

function planOf(engine: MaskEngine, rules: readonly CompiledMask[]): Plan {
  const wholeRules = rules.filter(({ detectors }) => detectors.length === 0);
  const enforced = wholeRules.filter(({ effect }) => effect === 'mask').map(({ action }) => action);
  const wholeHits = wholeRules.map(
    ({ name, effect }): MaskHit => ({
      rule: name,
      detector: null,
      observed: effect === 'observe',
      count: 1,
    }),
  );
  const treatments = engine.detectors.map(({ name }): Treatment[] =>
    rules
      .filter(({ detectors }) => detectors.includes(name))
      .map((rule) => ({ rule: rule.name, action: rule.action, observed: rule.effect === 'observe' })),
  );
  return {
    whole: strictest(enforced),
    wholeHits,
    treatments,
    searching: treatments.some(({ length }) => length > 0),
  };
}
