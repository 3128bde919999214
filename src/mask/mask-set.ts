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

/** Text that goes to the scanner at once. */
const BATCH_BYTES = 64 * 1024;

/** Null: nothing is to be masked in this direction. */
export function makeMasker(
  engine: MaskEngine,
  rules: readonly CompiledMask[],
  direction: 'requests' | 'responses',
): Masker | null {
  const own = rules.filter((rule) => masksDirection(rule, direction));
  return own.length === 0 ? null : new MaskSet(engine, own);
}

class MaskSet extends TextMasker implements Masker {
  readonly #engine: MaskEngine;
  readonly #rules: readonly CompiledMask[];

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
    const result: MaskedCell[] = [];
    const bounds = new Uint32Array(2 * count);
    const indices = new Uint32Array(count);
    let texts = 0;
    let length = 0;
    const flush = (): void => {
      if (texts > 0) this.#search(bytes, bounds, indices, texts, cells, columns, result);
      texts = 0;
      length = 0;
    };
    for (let cell = 0; cell < count; cell += 1) {
      const start = cells[3 * cell] ?? 0;
      const end = cells[3 * cell + 1] ?? 0;
      const masker = columns[cells[3 * cell + 2] ?? 0];
      if (!(masker instanceof TextMasker)) continue;
      const { whole, wholeHits, searching } = masker.plan;
      if (whole !== null || !searching) {
        if (whole === null && wholeHits.length === 0) continue;
        const masked = masker.unsearched(bytes.subarray(start, end));
        if (masked !== null) result.push({ cell, ...masked });
      } else {
        bounds[2 * texts] = start;
        bounds[2 * texts + 1] = end;
        indices[texts] = cell;
        texts += 1;
        length += end - start;
        if (length >= BATCH_BYTES) flush();
      }
    }
    flush();
    return result.sort((a, b) => a.cell - b.cell);
  }

  #search(
    bytes: Uint8Array,
    bounds: Uint32Array,
    indices: Uint32Array,
    count: number,
    cells: Uint32Array,
    columns: readonly (ValueMasker | null)[],
    result: MaskedCell[],
  ): void {
    const found = this.#engine.scanner.scan(bytes, bounds, count);
    let next = 0;
    const found_ = found ?? new Uint32Array(0);
    for (let text = 0; text < count; text += 1) {
      const cell = indices[text] ?? 0;
      const masker = columns[cells[3 * cell + 2] ?? 0];
      if (!(masker instanceof TextMasker)) continue;
      if (found_[next] !== text && masker.plan.wholeHits.length === 0) continue;
      const start = bounds[2 * text] ?? 0;
      const end = bounds[2 * text + 1] ?? 0;
      const finder = new Finder(this.#engine, masker.plan, bytes, start, end);
      for (; found_[next] === text; next += 3) finder.needle(found_[next + 1] ?? 0, found_[next + 2] ?? 0);
      const masked = masker.masked(bytes, start, end, finder.finish());
      if (masked !== null) result.push({ cell, ...masked });
    }
  }
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
