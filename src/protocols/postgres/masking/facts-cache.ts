/**
 * Remembers what texts say. Where no mask names a column only COPY matters, and other texts are
 * not read.
 */
import { remembered } from '../text-cache.ts';
import { type StatementFacts, statementFacts } from './touch.ts';

/** Of a text that says nothing of COPY. */
const NOTHING_TO_SAY: StatementFacts = {
  relations: [],
  names: new Set(),
  takesAll: false,
  runsCode: false,
  calls: false,
  isIndirect: false,
  gives: [],
  takes: [],
  lasts: false,
  isPlan: false,
  changesTables: false,
  copies: [],
};

export class FactsCache {
  /** As statementFacts(). */
  readonly factsOf = remembered<StatementFacts | null>({
    read: statementFacts,
    lasts: (facts) => facts !== null,
    // Options of COPY may be numbers: `HEADER 0`.
    isOfShape: (facts) => facts !== null && facts.copies.length === 0,
  });

  /** The same where only COPY matters. */
  readonly copiesOf = (text: Buffer): StatementFacts | null =>
    /copy/i.test(text.toString('latin1')) ? this.factsOf(text) : NOTHING_TO_SAY;
}
