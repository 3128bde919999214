/**
 * Masks what stands in a statement: its constants, and what its comments say.
 *
 * PostgreSQL's parser says what the values are, its scanner where they stand. What was rewritten is parsed again, and must be the same
 * statement but for the values that were masked, without anything left in it that is to be: so no mistake made here gets further
 * than a refusal.
 */
import type { ValueMasker } from '../../../../mask/masker.ts';
import type { Denial } from '../../denials.ts';
import { STATEMENT_MAX_BYTES, scan, type Token } from '../../parser.ts';
import { remembered } from '../../text-cache.ts';
import type { Catalog } from '../catalog.ts';
import { cellOf, type Masked, type OnHits, otherDigits } from '../cell.ts';
import { decimal, kindOf, literal, said } from './literal.ts';
import { type RequestFacts, requestFacts, type ValueFacts } from './request-facts.ts';
import { isSameBut } from './same-tree.ts';
import { SqlPrepared } from './sql-prepared.ts';
import type { ValueMaskers } from './value-maskers.ts';

/** What a text says depends on nothing else, so one cache is for all flows of a worker. */
export const factsOfRequest = remembered({
  read: requestFacts,
  lasts: (facts) => facts !== null,
  // Where its constants stand is part of it.
  isOfShape: () => false,
});

const CANNOT_MASK: Denial = {
  sqlState: '42501',
  message: 'Sluice: what is to be masked stands where it cannot be',
  hint: 'Values are masked as constants, parameters and data of COPY, and not as names.',
};

const UNNAMED: Denial = {
  sqlState: '42501',
  message: 'Sluice: values for a table with masked columns are given without saying for which columns',
  hint: 'Name them: INSERT INTO t (a, b) …, COPY t (a, b) FROM STDIN.',
};

const UNCLEAR: Denial = {
  sqlState: '42501',
  message: 'Sluice: which of the values is for a masked column cannot be followed',
  hint: 'Give it as a constant, a parameter, by VALUES or unnest: not inside of JSON or rows, by other functions, or by *.',
};

const UNKNOWN_PREPARED: Denial = {
  sqlState: '42501',
  message:
    'Sluice: values are given to a prepared statement that is not known, and may be for a masked column',
  hint: 'Prepare it in this session, outside of code.',
};

const BY_VIEW: Denial = {
  sqlState: '42501',
  message: 'Sluice: values are given to a view of a table with masked columns, and may be for one',
  hint: 'Write to the table, and name its columns.',
};

const IN_CODE: Denial = {
  sqlState: '42501',
  message: 'Sluice: code names a masked column, and what it does with values cannot be followed',
  hint: 'Give values in statements. Code that does not name the column and its table passes.',
};

const TOO_LONG: Denial = {
  sqlState: '54001',
  message: `Sluice: masked, the statement would be longer than ${STATEMENT_MAX_BYTES} bytes`,
  hint: 'Split it.',
};

const TEXT = 25;
const NUMERIC = 1700;
const BIT = 1560;

/**
 * Of a type that is not known, what is not written as an array, a composite, JSON or bytea is a text. So is a number: it may be one, and
 * what it becomes is to be the same everywhere.
 */
export function typeOfText(typeOid: number, value: Uint8Array): number {
  if (typeOid !== 0 || isStructured(value[0])) return typeOid;
  // Escapes of bytea, and a number that is not written by its digits.
  return value.includes(BACKSLASH) || otherDigits(value) !== null ? typeOid : TEXT;
}

/** What begins so may be written as an array, a composite, JSON or bytea. */
export function isStructured(first: number | undefined): boolean {
  return STRUCTURED[first ?? 0] === 1;
}

const BACKSLASH = 0x5c;

/** `[`, a backslash, `{`, `(`, `"` and blanks, which JSON may begin with. */
const STRUCTURED = new Uint8Array(256);
for (const byte of Buffer.from('[\\{(" \t\r\n', 'latin1')) STRUCTURED[byte] = 1;

export class StatementMasker {
  readonly #maskers: ValueMaskers;
  readonly #onHits: OnHits;
  /** Of the facts that are remembered: whether a constant is for a column that is meant. */
  #columns = new WeakMap<RequestFacts, boolean>();
  /** By which that was said. */
  #catalog: Catalog | null = null;

  readonly #clean = new WeakMap<RequestFacts, boolean>();
  readonly #columnsForAll: readonly ValueMasker[];
  readonly #prepared = new SqlPrepared();

  constructor(maskers: ValueMaskers, onHits: OnHits) {
    this.#maskers = maskers;
    this.#onHits = onHits;
    this.#columnsForAll = [maskers.forAll];
  }

  /**
   * @param text that has been understood
   * @param name under which it is prepared by the protocol
   * @returns null: it passes as it is
   */
  rewrite(text: Buffer, name: string | null = null): Buffer | Denial | null {
    const read = factsOfRequest(text);
    if (read === null) return CANNOT_MASK;
    if (this.#maskers.isStrict)
      this.#prepared.add(name === null ? read.prepared : [...read.prepared, name], read);
    const facts = this.#withExecuted(read);
    if (facts === null) return UNKNOWN_PREPARED;
    const denial = this.#denied(facts);
    if (denial !== null) return denial;
    if (!this.#hasColumns(facts) && this.#isClean(text, facts)) return null;
    const tokens = scan(text);
    if (tokens === null) return CANNOT_MASK;
    const rewriting = new Rewriting(text, facts, this.#maskers, this.#onHits);
    return this.#checked(facts, rewriting, rewriting.all(tokens));
  }

  #withExecuted(facts: RequestFacts): RequestFacts | null {
    return this.#maskers.isStrict && facts.executed.length > 0 ? this.#prepared.executed(facts) : facts;
  }

  #denied(facts: RequestFacts): Denial | null {
    if (facts.unnamed.some((table) => this.#maskers.means(table))) return UNNAMED;
    if (this.#maskers.meansStrictly(facts.unclear, facts)) return UNCLEAR;
    if (facts.isTooMuch && this.#maskers.meansStrictlyIn(facts)) return UNCLEAR;
    if (facts.written.some((relation) => this.#maskers.isView(relation))) return BY_VIEW;
    return facts.code.some((code) => this.#maskers.isNamedIn(code)) ? IN_CODE : null;
  }

  #hasColumns(facts: RequestFacts): boolean {
    const { catalog } = this.#maskers;
    if (catalog !== this.#catalog) this.#columns = new WeakMap();
    this.#catalog = catalog;
    let has = this.#columns.get(facts);
    if (has === undefined) {
      has = [...facts.constants.values()].some((value) => this.#maskers.ofColumns(value, facts) !== null);
      this.#columns.set(facts, has);
    }
    return has;
  }

  /** Nothing is found in the text as it stands, nor in what its constants say. Facts that are remembered are of one text. */
  #isClean(text: Buffer, facts: RequestFacts): boolean {
    const known = this.#clean.get(facts);
    if (known !== undefined) return known;
    const isClean = this.#finds(text, facts.leaves) === null;
    this.#clean.set(facts, isClean);
    return isClean;
  }

  /** All texts at once, which is much faster than one by one, but those that may hold values within. */
  #finds(text: Buffer, leaves: readonly string[]): 'something' | null {
    const masker = this.#maskers.forAll;
    if (masker.value(text) !== null) return 'something';
    const texts: Buffer[] = [];
    const cells = new Uint32Array(3 * leaves.length);
    let count = 0;
    let end = 0;
    for (const leaf of leaves) {
      const bytes = Buffer.from(leaf, 'utf8');
      if (typeOfText(0, bytes) !== TEXT) {
        if (isFound(masker, leaf)) return 'something';
        continue;
      }
      texts.push(bytes);
      cells.set([end, end + bytes.length, 0], 3 * count);
      end += bytes.length;
      count += 1;
    }
    return masker.cells(Buffer.concat(texts), cells, count, this.#columnsForAll).length > 0
      ? 'something'
      : null;
  }

  #checked(before: RequestFacts, rewriting: Rewriting, done: boolean): Buffer | Denial | null {
    if (!done) return CANNOT_MASK;
    const text = rewriting.text();
    if (text === null) return this.#isLeft(before.leaves) ? CANNOT_MASK : null;
    if (text.length > STATEMENT_MAX_BYTES) return TOO_LONG;
    const after = factsOfRequest(text);
    if (after === null || !isSameBut(before.statements, after.statements, rewriting)) return CANNOT_MASK;
    const old = after.leaves.filter((leaf) => !rewriting.isNew(Buffer.from(leaf, 'utf8').toString('latin1')));
    return this.#isLeft(old) ? CANNOT_MASK : text;
  }

  /** Something that is to be masked is still there: a name, as the parser has it. */
  #isLeft(leaves: readonly string[]): boolean {
    return leaves.some((leaf) => isChanged(this.#maskers.forAll, leaf));
  }
}

const IGNORED: OnHits = () => {
  // Only whether there is something is asked here.
};

function maskLeaf(masker: ValueMasker, leaf: string, onHits: OnHits): Masked {
  const bytes = Buffer.from(leaf, 'utf8');
  return cellOf({ typeOid: typeOfText(0, bytes), format: 0, masker, onHits, numbersAreTexts: true })?.whole(
    bytes,
  );
}

/** Something is masked or observed. */
function isFound(masker: ValueMasker, leaf: string): boolean {
  let found = false;
  const masked = maskLeaf(masker, leaf, () => {
    found = true;
  });
  return found || masked !== undefined;
}

function isChanged(masker: ValueMasker, leaf: string): boolean {
  return maskLeaf(masker, leaf, IGNORED) !== undefined;
}

/** The rewriting of one text. */
class Rewriting {
  readonly strings = new Map<string, Set<string>>();
  readonly nulls = new Set<number>();
  readonly #text: Buffer;
  readonly #latin1: string;
  readonly #facts: RequestFacts;
  readonly #maskers: ValueMaskers;
  readonly #onHits: OnHits;
  /** The text with stars where something is found as it stands, context and all. */
  readonly #painted: Buffer;
  readonly #new = new Set<string>();
  readonly #out: Buffer[] = [];
  #written = 0;

  constructor(text: Buffer, facts: RequestFacts, maskers: ValueMaskers, onHits: OnHits) {
    this.#text = text;
    this.#latin1 = text.toString('latin1');
    this.#facts = facts;
    this.#maskers = maskers;
    this.#onHits = onHits;
    const stream = maskers.forAll.stream();
    this.#painted = Buffer.concat([stream.push(text), stream.end()]);
  }

  /** False: something cannot be masked. */
  all(tokens: readonly Token[]): boolean {
    let masked = 0;
    for (const [index, { start, end }] of tokens.entries()) {
      const token = this.#latin1.slice(start, end);
      const kind = kindOf(token);
      if (this.#ofColumns(start) !== null && kind !== 'other') masked += 1;
      switch (kind) {
        case 'comment':
          this.#comment(start, end);
          break;
        case 'string':
          if (!this.#string(tokens, index)) return false;
          break;
        case 'number':
          this.#typed(start, end, NUMERIC, decimal(token), this.#signOf(tokens, index));
          break;
        case 'bits':
          this.#typed(start, end, BIT, token, start);
          break;
        case 'quoted-name':
          if (this.#isName(said(token, this.#escapeBehind(tokens, index)))) return false;
          break;
        case 'other':
          if (/^(?:true|false)$/i.test(token)) {
            if (this.#ofColumns(start) !== null) masked += 1;
            this.#typed(start, end, BIT, token, start);
          } else if (this.#isName(Buffer.from(token, 'latin1'))) return false;
          break;
      }
    }
    // A constant that was not found where the parser has it cannot be left as it is.
    return masked >= this.#count();
  }

  /** Null: nothing was changed. */
  text(): Buffer | null {
    if (this.#out.length === 0) return null;
    return Buffer.concat([...this.#out, this.#text.subarray(this.#written)]);
  }

  isNew(leaf: string): boolean {
    return this.#new.has(leaf);
  }

  #count(): number {
    let count = 0;
    for (const [at, value] of this.#facts.constants)
      if (this.#maskers.ofColumns(value, this.#facts) !== null && !this.#isNull(at)) count += 1;
    return count;
  }

  /** There is nothing to be masked in NULL. */
  #isNull(at: number): boolean {
    return /^null\b/i.test(this.#latin1.slice(at, at + 5));
  }

  #ofColumns(at: number): ValueMasker | null {
    const value = this.#facts.constants.get(at);
    return value === undefined ? null : this.#maskers.ofColumns(value, this.#facts);
  }

  #valueAt(at: number): ValueFacts | null {
    return this.#facts.constants.get(at) ?? null;
  }

  #comment(start: number, end: number): void {
    const comment = this.#text.subarray(start, end);
    const masked = this.#maskers.forAll.value(comment);
    if (masked !== null) this.#onHits(masked.hits);
    if (!isOther(masked?.bytes, comment) && !this.#isPainted(start, end)) return;
    this.#edit(start, end, Buffer.alloc(end - start, BLANK));
  }

  /** A negative number is one constant, which begins with its sign. */
  #signOf(tokens: readonly Token[], index: number): number {
    const start = tokens[index]?.start ?? 0;
    const before = tokens[index - 1];
    if (before === undefined || this.#facts.constants.has(start)) return start;
    return this.#latin1[before.start] === '-' && this.#facts.constants.has(before.start)
      ? before.start
      : start;
  }

  #typed(start: number, end: number, typeOid: number, value: string, from: number): void {
    const masker = this.#ofColumns(from) ?? this.#maskers.forAll;
    const cell = cellOf({ typeOid, format: 0, masker, onHits: this.#onHits });
    const masked = cell?.whole(Buffer.from(value, 'latin1'));
    if (masked === undefined && !this.#isPainted(start, end)) return;
    if (masked === undefined) this.#onHits(FOUND);
    this.nulls.add(from);
    this.#edit(from, end, NULL);
  }

  #string(tokens: readonly Token[], index: number): boolean {
    const { start, end } = tokens[index] ?? NOWHERE;
    const token = this.#latin1.slice(start, end);
    const mark = this.#escapeBehind(tokens, index);
    const value = said(token, mark);
    if (value === null) return false;
    const typeOid = typeOfText(this.#valueAt(start)?.typeOid ?? 0, value);
    const masker = this.#ofColumns(start) ?? this.#maskers.forAll;
    let masked = cellOf({
      typeOid,
      format: 0,
      masker,
      onHits: this.#onHits,
      numbersAreTexts: true,
    })?.whole(value);
    if (masked === undefined && this.#isPainted(start, end)) {
      masked = said(this.#painted.toString('latin1', start, end), mark) ?? null;
      this.#onHits(FOUND);
    }
    if (masked === undefined) return true;
    // What says with which character a constant was escaped goes with it.
    const last = mark === undefined ? end : (tokens[index + 2]?.end ?? end);
    if (masked === null) {
      this.nulls.add(start);
      this.#edit(start, last, NULL);
      return true;
    }
    const now = Buffer.from(masked).toString('latin1');
    const key = value.toString('latin1');
    const known = this.strings.get(key);
    if (known === undefined) this.strings.set(key, new Set([now]));
    else known.add(now);
    this.#new.add(now);
    this.#edit(start, last, literal(masked));
    return true;
  }

  /** `UESCAPE '!'` behind a constant; undefined: none. */
  #escapeBehind(tokens: readonly Token[], index: number): string | undefined {
    const [word, mark] = [tokens[index + 1], tokens[index + 2]];
    if (word === undefined || mark === undefined) return undefined;
    if (!/^uescape$/i.test(this.#latin1.slice(word.start, word.end))) return undefined;
    return said(this.#latin1.slice(mark.start, mark.end))?.toString('latin1');
  }

  /** Something is to be masked in it, and it is what something is called. */
  #isName(name: Buffer | null): boolean {
    return name === null || isOther(this.#maskers.forAll.value(name)?.bytes, name);
  }

  /** Something is found between these places, and does not go beyond them. */
  #isPainted(start: number, end: number): boolean {
    const differs = (at: number): boolean => this.#painted[at] !== this.#text[at];
    if (differs(start - 1) || differs(end)) return false;
    return this.#painted.compare(this.#text, start, end, start, end) !== 0;
  }

  #edit(start: number, end: number, instead: Buffer): void {
    if (start < this.#written) return;
    this.#out.push(this.#text.subarray(this.#written, start), instead);
    this.#written = end;
  }
}

const NOWHERE: Token = { start: 0, end: 0 };
const BLANK = 0x20;
/** Apart from what stands beside it. */
const NULL = Buffer.from(' NULL ');
/** By what stands around a value. */
const FOUND = [{ rule: '', detector: null, observed: false, count: 1 }];

/** What was only observed comes back as it was. */
function isOther(masked: Uint8Array | null | undefined, bytes: Buffer): boolean {
  return masked !== undefined && (masked === null || !bytes.equals(masked));
}
