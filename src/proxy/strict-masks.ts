/**
 * Strict masks: statements are denied that would take values of their columns to where nobody knows them any more, since
 * what is copied into another table is no longer masked by its column.
 */
import { masksDirection } from '../policy/masks.ts';
import type { CompiledMask } from '../policy/types.ts';
import { type Denial, NOT_RUN } from '../protocols/postgres/denials.ts';
import { carriedBy, carriesColumn, carriesSomething } from '../protocols/postgres/masking/carry.ts';
import type { Catalog } from '../protocols/postgres/masking/catalog.ts';
import { ColumnRules } from '../protocols/postgres/masking/column-rules.ts';
import { remembered } from '../protocols/postgres/text-cache.ts';

/** One for all flows of a worker: what a text says depends on nothing else. */
const carriedOf = remembered({
  read: carriedBy,
  lasts: (carried) => carried !== null,
  // As of what statements say (facts-cache.ts), which its parts are.
  isOfShape: (carried) => carried?.parts.every(({ copies }) => copies.length === 0) === true,
});

/** Says why a statement that was read may not pass, or null; null itself where no mask is strict. */
export function strictMasks(
  masks: readonly CompiledMask[],
  /** What is known of the database's tables; null: nothing. */
  known: () => Catalog | null,
): ((text: Buffer) => Denial | null) | null {
  const own = masks.filter(
    (mask) => mask.strict && mask.effect === 'mask' && masksDirection(mask, 'responses'),
  );
  if (own.length === 0) return null;
  const rules = own.map(({ name, columns }) => ({ name, columns: new ColumnRules(columns) }));
  return (text) => {
    const carried = carriedOf(text);
    if (carried === null || !carriesSomething(carried)) return null;
    const catalog = known();
    const rule = rules.find(({ columns }) => carriesColumn(carried, columns, catalog));
    if (rule === undefined) return null;
    const what = carried.bringsCode ? 'may take' : 'would take';
    const message = `Sluice: the statement ${what} masked values elsewhere (mask "${rule.name}")`;
    return { sqlState: '42501', message, hint: NOT_RUN };
  };
}
