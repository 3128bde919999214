/**
 * Remembers what texts say, as classify-cache.ts does. Where no mask names a column only COPY matters, and other texts are
 * not read.
 */
import { BoundedMap } from '../../../core/bounded-map.ts';
import { type StatementFacts, statementFacts } from './touch.ts';

/** Longer ones are mostly lists of values and do not come again. */
const TEXT_MAX_BYTES = 2_048;
const ENTRIES_MAX = 4_096;

/** Of a text that says nothing of COPY. */
const NOTHING_TO_SAY: StatementFacts = {
  relations: [],
  names: new Set(),
  takesAll: false,
  runsCode: false,
  isIndirect: false,
  lasts: false,
  isPlan: false,
  changesTables: false,
  copies: [],
};

export class FactsCache {
  readonly #known = new BoundedMap<string, StatementFacts | null>(ENTRIES_MAX);

  /** As statementFacts(). */
  readonly factsOf = (text: Buffer): StatementFacts | null => {
    if (text.length > TEXT_MAX_BYTES) return statementFacts(text);
    const key = text.toString('latin1');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const facts = statementFacts(text);
    // That a text could not be read may be the moment's fault, not its own.
    if (facts !== null) this.#known.set(key, facts);
    return facts;
  };

  /** The same where only COPY matters. */
  readonly copiesOf = (text: Buffer): StatementFacts | null =>
    /copy/i.test(text.toString('latin1')) ? this.factsOf(text) : NOTHING_TO_SAY;
}
