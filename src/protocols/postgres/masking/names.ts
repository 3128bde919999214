/**
 * What the names of statements and portals mean to the server by now, and what was prepared in a session that may come
 * out of a later statement.
 *
 * SQL has the same names in its hands (PREPARE, DECLARE, and code that does so): so once a masked column was touched by
 * one of those, whatever has no certain origin is taken for it, to the end of the session. So is what EXECUTE and FETCH have by a name that
 * nobody was seen to give, or once a function of the database ran: it may have opened a cursor.
 */
import type { ColumnRules } from './column-rules.ts';
import type { LookUp } from './look-up.ts';
import type { StatementFacts } from './touch.ts';

/** Those beyond are unknown, and what they give is masked on the safe side. */
const NAMES_MAX = 4_096;
/** Of the texts of statements: what is kept of one may have twenty times its size. */
const TEXTS_MAX_BYTES = 2_097_152;

export class Names {
  readonly #columns: ColumnRules;
  readonly #lookUp: LookUp | null;
  readonly #statements = new Map<string, StatementFacts | null>();
  #bytes = 0;
  readonly #portals = new Map<string, StatementFacts | null>();
  /** Something was prepared or declared in SQL, or by code, that touched a masked column. */
  #lasting = false;
  /** The same by the protocol, whose names EXECUTE and FETCH know too. */
  #parsed = false;

  /** A function of the database's own ran, which may give a name of SQL to whatever it likes. */
  #called = false;
  /** Names that SQL gave. */
  readonly #given = new Set<string>();

  constructor(columns: ColumnRules, lookUp: LookUp | null) {
    this.#columns = columns;
    this.#lookUp = lookUp;
  }

  /** @param name null: it is not known, and may be any. @param bytes of the text */
  parsed(name: string | null, facts: StatementFacts | null, bytes = 0): void {
    this.#bytes += bytes;
    if (name === null || this.#statements.size >= NAMES_MAX || this.#bytes > TEXTS_MAX_BYTES) {
      this.#statements.clear();
      this.#portals.clear();
      this.#bytes = bytes;
    }
    if (name !== null) this.#statements.set(name, facts);
    this.#parsed ||= this.#columns.anyTouched(facts, this.#lookUp?.catalog ?? null);
  }

  bound(portal: string | null, statement: string | null): void {
    if (portal === null || this.#portals.size >= NAMES_MAX) this.#portals.clear();
    if (portal === null) return;
    this.#portals.set(portal, this.factsOfStatement(statement));
  }

  /** Null: nothing is known of it. */
  factsOf(portal: string): StatementFacts | null {
    return this.#portals.get(portal) ?? null;
  }

  /** The same by the name of a statement. */
  factsOfStatement(statement: string | null): StatementFacts | null {
    return statement === null ? null : (this.#statements.get(statement) ?? null);
  }

  /** It was executed, or is about to be. */
  ran(facts: StatementFacts | null): void {
    if (this.#columns.rules.length === 0) return;
    if (facts === null || facts.changesTables) this.#lookUp?.expire();
    this.#called ||= this.#columns.runsFunction(facts, this.#lookUp?.catalog ?? null);
    for (const name of facts?.gives ?? []) if (this.#given.size < NAMES_MAX) this.#given.add(name);
    if (this.#lasting || facts?.lasts === false) return;
    // Code finds nothing to prepare or declare in a database that had no such column when it was asked.
    const finds = facts?.runsCode !== true || this.#columns.meanSomething(this.#lookUp?.last ?? null);
    const said = facts === null || finds ? facts : { ...facts, runsCode: false };
    this.#lasting = this.#columns.anyTouched(said, this.#lookUp?.catalog ?? null);
  }

  /** Whether code of the database may say what is said about the statement. */
  runsCode(facts: StatementFacts | null): boolean {
    if (facts === null || facts.runsCode || facts.isIndirect) return true;
    return this.#columns.runsFunction(facts, this.#lookUp?.catalog ?? null);
  }

  /**
   * Whether what was prepared or declared before may come out of the statement. Of a simple query the text says so; one of the
   * extended protocol may have another's name. @param portal null: a simple query. The one without a name is nobody else's to open
   */
  mayShow(facts: StatementFacts | null, portal: string | null): boolean {
    const isIndirect = facts?.isIndirect !== false;
    if (this.#lasting && (isIndirect || portal !== null)) return true;
    if (this.#called && (isIndirect || (portal !== null && portal !== ''))) return true;
    return isIndirect && (this.#parsed || this.#isUnknown(facts));
  }

  /** It has a name from somewhere else: code that a trigger ran, or another session's of a pool. */
  #isUnknown(facts: StatementFacts | null): boolean {
    const known = [this.#given, this.#statements, this.#portals];
    const isKnown = (name: string): boolean => known.some((names) => names.has(name));
    if (facts?.takes.every(isKnown) === true) return false;
    return this.#columns.meanSomething(this.#lookUp?.catalog ?? null);
  }

  /** Whether what is said about the statement may quote a masked value. */
  touched(facts: StatementFacts | null): boolean {
    if (this.mayShow(facts, null)) return true;
    return this.#columns.anyTouched(facts, this.#lookUp?.catalog ?? null);
  }
}
