/**
 * For which columns the parameters of prepared statements are, by their names, so that values of EXECUTE can be masked.
 *
 * All that a name has ever been given counts: which of it the name means shows in answers only. A name that nobody knows may be anything.
 */
import type { Relation } from '../touch.ts';
import type { RequestFacts, ValueFacts } from './request-facts.ts';
import type { PreparedFacts } from './statements.ts';

/** Names are cut there (NAMEDATALEN). */
const NAME_MAX_BYTES = 63;
/** Of a session: names, and what is remembered of all of them. Beyond that nothing is known of any. */
const NAMES_MAX = 4_096;
const FACTS_MAX = 65_536;

interface Given {
  readonly columns: Map<number, Set<string>>;
  readonly relations: Map<string, Relation>;
}

export class SqlPrepared {
  readonly #known = new Map<string, Given>();
  #count = 0;
  #isLost = false;

  /** @param names under which the text prepares something, in SQL or by Parse */
  add(names: readonly string[], facts: PreparedFacts): void {
    // The one without a name is not executed by SQL.
    for (const name of names) if (name !== '' && !this.#isLost) this.#add(keyOf(name), facts);
  }

  #add(key: string, { parameters, relations }: PreparedFacts): void {
    const given = this.#known.get(key) ?? { columns: new Map(), relations: new Map() };
    this.#known.set(key, given);
    for (const [number, { columns }] of parameters) {
      if (columns.size === 0) continue;
      const own = given.columns.get(number) ?? new Set();
      given.columns.set(number, own);
      this.#count -= own.size;
      for (const column of columns) own.add(column);
      this.#count += own.size;
    }
    if (given.columns.size > 0) {
      this.#count -= given.relations.size;
      for (const relation of relations) given.relations.set(JSON.stringify(relation), relation);
      this.#count += given.relations.size;
    }
    this.#isLost = this.#known.size > NAMES_MAX || this.#count > FACTS_MAX;
    if (this.#isLost) this.#known.clear();
  }

  /** The text with the values of its EXECUTEs as what they are for; null: that is not known of one. */
  executed(facts: RequestFacts): RequestFacts | null {
    const constants = new Map(facts.constants);
    const relations: Relation[] = [...facts.relations];
    for (const { name, values } of facts.executed) {
      if (values.every((places) => places.length === 0)) continue;
      const given = this.#known.get(keyOf(name));
      if (given === undefined) return null;
      relations.push(...given.relations.values());
      for (const [index, places] of values.entries())
        for (const at of places) mark(constants, at, given.columns.get(index + 1));
    }
    return { ...facts, constants, relations };
  }
}

/** What is remembered of a text is for all sessions, and stays as it is. */
function mark(
  constants: Map<number, ValueFacts>,
  at: number,
  columns: ReadonlySet<string> | undefined,
): void {
  const own = constants.get(at);
  if (columns === undefined || own === undefined) return;
  constants.set(at, { typeOid: own.typeOid, columns: new Set([...own.columns, ...columns]) });
}

function keyOf(name: string): string {
  return Buffer.from(name, 'utf8').toString('latin1', 0, NAME_MAX_BYTES);
}
