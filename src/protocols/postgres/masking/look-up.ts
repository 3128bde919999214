/**
 * Asks a database which columns policy's rules mean (catalog.ts), in the agent's own session: Sluice has no credentials,
 * and other sessions would see other databases.
 *
 * Rules: only when nothing is on its way in either direction; by a statement and a portal with a name of their own, so that
 * nothing of the agent's is replaced; every name with its schema, so that no search path leads elsewhere; the agent waits for
 * its ReadyForQuery and sees nothing else of it.
 *
 * Inside of a transaction only after statements that change tables, between a savepoint and its end, so that a question without
 * an answer leaves the transaction as it was. What is answered there is for this session alone, until the transaction ends: it may be undone.
 */
import { randomBytes } from 'node:crypto';
import { HEADER_BYTES } from '../message.ts';
import { Catalog, type CatalogKeeper, type MeantColumn } from './catalog.ts';
import type { ColumnRule } from './column-rules.ts';
import type { Exchange } from './exchange.ts';

export interface LookUpOptions {
  readonly rules: readonly ColumnRule[];
  readonly exchange: Exchange;
  readonly keeper: CatalogKeeper;
  /** Whether a message may be put into what goes to the server. */
  readonly mayWrite: () => boolean;
  readonly write: (bytes: Buffer) => void;
}

const toHex = (name: string): string =>
  `pg_catalog.encode(pg_catalog.convert_to(${name}::pg_catalog.text, 'UTF8'), 'hex')`;
const fromHex = (hex: string): string => `pg_catalog.convert_from(pg_catalog.decode(${hex}, 'hex'), 'UTF8')`;

/** A database with more is not looked up, and columns are judged on the safe side. */
const COLUMNS_MAX = 65_536;

/**
 * One row for each column a rule means, its partitions' and heirs' likewise, and for each view of one; one for each name of a function
 * that may read tables: of those that are neither PostgreSQL's, nor an extension's, nor of native code; the last row has the
 * highest number of a relation. 1259 is pg_class, 2618 pg_rewrite, 1255 pg_proc.
 *
 * Names go both ways as their UTF-8 in hexadecimal: the agent's `client_encoding` would turn others than of ASCII into something else.
 */
const QUESTION = `
with recursive rule(n, s, t, c) as (
  select r.n, ${fromHex('r.s')}, ${fromHex('r.t')}, ${fromHex('r.c')}
  from rows from (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]),
    pg_catalog.unnest($3::pg_catalog.text[])) with ordinality as r(s, t, c, n)
), shown(n, oid, attnum) as (
  select r.n, c.oid, a.attnum from rule r, pg_catalog.pg_class c, pg_catalog.pg_namespace ns, pg_catalog.pg_attribute a
  where ns.oid operator(pg_catalog.=) c.relnamespace and a.attrelid operator(pg_catalog.=) c.oid
    and c.relkind operator(pg_catalog.=) any ('{r,p,v,m,f}'::pg_catalog."char"[])
    and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
    and a.attname::pg_catalog.text operator(pg_catalog.~) r.c and c.relname::pg_catalog.text operator(pg_catalog.~) r.t
    and ns.nspname::pg_catalog.text operator(pg_catalog.~) r.s
  union
  select s.n, x.oid, x.attnum from shown s cross join lateral (
    select w.ev_class, 0::pg_catalog.int2 from pg_catalog.pg_depend d, pg_catalog.pg_rewrite w
    where d.classid operator(pg_catalog.=) 2618::pg_catalog.oid and d.refclassid operator(pg_catalog.=) 1259::pg_catalog.oid
      and d.refobjid operator(pg_catalog.=) s.oid and w.oid operator(pg_catalog.=) d.objid
      and w.ev_class operator(pg_catalog.<>) s.oid
      and (s.attnum operator(pg_catalog.=) 0 or d.refobjsubid operator(pg_catalog.=) 0 or d.refobjsubid operator(pg_catalog.=) s.attnum)
    union all
    select i.inhrelid, h.attnum from pg_catalog.pg_inherits i, pg_catalog.pg_attribute p, pg_catalog.pg_attribute h
    where i.inhparent operator(pg_catalog.=) s.oid and p.attrelid operator(pg_catalog.=) s.oid
      and p.attnum operator(pg_catalog.=) s.attnum and h.attrelid operator(pg_catalog.=) i.inhrelid
      and h.attname operator(pg_catalog.=) p.attname
  ) as x(oid, attnum)
)
select s.n, s.oid, s.attnum, ${toHex('ns.nspname')}, ${toHex('c.relname')}, (
    select ${toHex('a.attname')} from pg_catalog.pg_attribute a
    where a.attrelid operator(pg_catalog.=) s.oid and a.attnum operator(pg_catalog.=) s.attnum), (
    select ${toHex('pg_catalog.json_agg(a.attname order by a.attnum)')} from pg_catalog.pg_attribute a
    where a.attrelid operator(pg_catalog.=) c.oid and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
      and a.attgenerated operator(pg_catalog.=) ''::pg_catalog."char")
from shown s, pg_catalog.pg_class c, pg_catalog.pg_namespace ns
where c.oid operator(pg_catalog.=) s.oid and ns.oid operator(pg_catalog.=) c.relnamespace
union all
select -1, 0::pg_catalog.oid, 0::pg_catalog.int2, '', ${toHex('p.proname')}, null, null
from pg_catalog.pg_proc p, pg_catalog.pg_language l, pg_catalog.pg_namespace ns
where l.oid operator(pg_catalog.=) p.prolang and ns.oid operator(pg_catalog.=) p.pronamespace
  and ns.nspname operator(pg_catalog.<>) all ('{pg_catalog,information_schema}'::pg_catalog.name[])
  and (l.lanname operator(pg_catalog.<>) all ('{internal,c}'::pg_catalog.name[]) or p.prokind operator(pg_catalog.=) 'a'::pg_catalog."char")
  and not exists (select from pg_catalog.pg_depend d where d.classid operator(pg_catalog.=) 1255::pg_catalog.oid
    and d.objid operator(pg_catalog.=) p.oid and d.deptype operator(pg_catalog.=) 'e'::pg_catalog."char")
group by p.proname
union all
select 0, (select pg_catalog.max(m.oid) from pg_catalog.pg_class m), 0, '', '', null, null`;

/** Status in ReadyForQuery of a transaction that has failed: `E`. */
const FAILED = 0x45;

/** ParseComplete, BindComplete, CloseComplete, CommandComplete; anything else (an error) is no answer. */
const ANSWERS: ReadonlySet<string> = new Set('123C');

export class LookUp {
  readonly #options: LookUpOptions;
  #meant: MeantColumn[] = [];
  #functions = new Set<string>();
  #highestOid = 0;
  #failed = false;
  /** The first error inside of a transaction. */
  #error: Buffer | null = null;
  /** How many ReadyForQuery the answer has yet. */
  #awaited = 0;
  #isStale = false;
  /** What was answered inside of the transaction that is open. */
  #own: Catalog | null = null;
  #isInTransaction = false;
  /** Inside of the open transaction there was no answer. */
  #hasGivenUp = false;
  /** Outside of one. */
  #isUnanswered = false;

  constructor(options: LookUpOptions) {
    this.#options = options;
  }

  /**
   * What is known; null while nothing is, and while this session may have changed its tables. Where nothing was meant, nothing is after
   * that but what the session brings itself.
   */
  get catalog(): Catalog | null {
    const { last } = this;
    return this.#isStale && last?.isEmpty !== true ? null : last;
  }

  /** What was known before this session changed anything. */
  get last(): Catalog | null {
    const { keeper } = this.#options;
    if (this.#own !== null) return this.#own;
    return this.#isUnanswered && keeper.isDue() ? null : keeper.current();
  }

  /** This session may have made, renamed or changed tables: to be asked again as soon as may be. */
  expire(): void {
    this.#isStale = true;
    this.#options.keeper.expire();
  }

  /** True: the question is on its way, and the agent waits for its answer. */
  begin(isInTransaction: boolean): boolean {
    const { exchange, mayWrite, write, rules } = this.#options;
    if (!isInTransaction) this.#transactionEnds();
    if (!this.#isDue(isInTransaction) || !mayWrite()) return false;
    this.#meant = [];
    this.#functions = new Set();
    this.#highestOid = 0;
    this.#failed = false;
    this.#error = null;
    this.#isInTransaction = isInTransaction;
    this.#awaited = isInTransaction ? 4 : 1;
    exchange.push({ kind: 'look-up' });
    write(isInTransaction ? questionBetweenSavepoints(rules) : question(rules));
    return true;
  }

  #transactionEnds(): void {
    this.#isStale ||= this.#own !== null;
    this.#own = null;
    this.#hasGivenUp = false;
  }

  #isDue(isInTransaction: boolean): boolean {
    const { keeper } = this.#options;
    if (isInTransaction) return this.#isStale && !this.#hasGivenUp;
    return this.#isStale || (keeper.isDue() && (!this.#isUnanswered || keeper.mayAskAgain()));
  }

  /** A message of the answer. @returns whether it was the last */
  take(letter: string, message: Buffer): boolean {
    if (letter === 'D') this.#row(message);
    else if (letter === 'Z') this.#awaited -= 1;
    else if (!ANSWERS.has(letter)) this.#failed = true;
    if (letter === 'E' && this.#isInTransaction) this.#error ??= Buffer.from(message);
    if (this.#awaited > 0) return false;
    this.#finish();
    return true;
  }

  /**
   * What the agent is to hear before the last message of the answer; null: nothing. A request to cancel, or a time-out, may fall upon
   * what stands around the question, and then the transaction is lost: a server says so when it happens, not at the next statement.
   */
  lost(last: Buffer): Buffer | null {
    return last[HEADER_BYTES] === FAILED ? this.#error : null;
  }

  #finish(): void {
    const { rules, keeper } = this.#options;
    const asked = new Catalog(rules, this.#highestOid, this.#meant, this.#functions);
    // What was meant before stays so, whatever it is called now.
    const known = this.#isInTransaction && this.last !== null ? asked.and(this.last) : asked;
    this.#meant = [];
    this.#isStale = false;
    if (this.#failed || this.#highestOid === 0 || known.size > COLUMNS_MAX) this.#hasNoAnswer();
    else if (this.#isInTransaction) this.#own = known;
    else {
      this.#isUnanswered = false;
      keeper.keep(known);
    }
  }

  #hasNoAnswer(): void {
    if (this.#isInTransaction) {
      this.#isStale = true;
      this.#hasGivenUp = true;
      return;
    }
    this.#isUnanswered = true;
    this.#options.keeper.failed();
  }

  #row(message: Buffer): void {
    const [rule, tableOid, attribute, ...named] = textsOf(message);
    if (rule === '0') {
      this.#highestOid = Number(tableOid);
      return;
    }
    if (this.#meant.length + this.#functions.size >= COLUMNS_MAX) this.#failed = true;
    if (this.#failed) return;
    const [schema, table, column, columns] = named.map(nameIn);
    if (rule === '-1') {
      this.#functions.add(table ?? '');
      return;
    }
    this.#meant.push({
      rule: Number(rule) - 1,
      tableOid: Number(tableOid),
      attribute: Number(attribute),
      schema: schema ?? '',
      table: table ?? '',
      column: column ?? null,
      columns: namesIn(columns ?? '[]'),
    });
  }
}

/** Of what was asked for in hexadecimal. */
function nameIn(hex: string | null): string | null {
  return hex === null ? null : Buffer.from(hex, 'hex').toString('utf8');
}

/** @throws RangeError */
function namesIn(json: string): string[] {
  try {
    return JSON.parse(json) as string[];
  } catch {
    throw new RangeError('a list of columns that is none');
  }
}

/** Values of a row, all in text. @throws RangeError */
function textsOf(message: Buffer): (string | null)[] {
  const texts: (string | null)[] = [];
  const count = message.readUInt16BE(HEADER_BYTES);
  let at = HEADER_BYTES + 2;
  for (let index = 0; index < count; index += 1) {
    const length = message.readInt32BE(at);
    at += 4;
    texts.push(length < 0 ? null : message.toString('utf8', at, at + length));
    at += Math.max(0, length);
  }
  return texts;
}

function question(rules: readonly ColumnRule[]): Buffer {
  const arrays = [
    rules.map(({ schema }) => schema),
    rules.map(({ table }) => table),
    rules.map(({ column }) => column),
  ];
  const parameters = arrays.flatMap((patterns) => {
    const inHex = patterns.map((pattern) => Buffer.from(regularExpression(pattern), 'utf8').toString('hex'));
    const bytes = Buffer.from(`{${inHex.join(',')}}`, 'latin1');
    return [int32(bytes.length), bytes];
  });
  return asked(QUESTION, int16(3), ...parameters);
}

/** Each of the four answered by a ReadyForQuery: after an error the next is read all the same. */
function questionBetweenSavepoints(rules: readonly ColumnRule[]): Buffer {
  const name = newName();
  return Buffer.concat([
    asked(`savepoint ${name}`, int16(0)),
    question(rules),
    asked(`rollback to savepoint ${name}`, int16(0)),
    asked(`release savepoint ${name}`, int16(0)),
  ]);
}

/** Parse, Bind, Execute, Close of both, Sync. */
function asked(sql: string, ...parameters: readonly Uint8Array[]): Buffer {
  const name = text(newName());
  return Buffer.concat([
    message('P', name, text(sql), int16(0)),
    message('B', name, name, int16(0), ...parameters, int16(0)),
    message('E', name, int32(0)),
    message('C', Buffer.from('P'), name),
    message('C', Buffer.from('S'), name),
    message('S'),
  ]);
}

function newName(): string {
  return `sluice_look_up_${randomBytes(12).toString('hex')}`;
}

/** PostgreSQL's regular expression for a name with stars; null: any. */
function regularExpression(pattern: string | null): string {
  const parts = (pattern ?? '*')
    .split('*')
    .map((part) => part.replace(/[^A-Za-z0-9_\u0080-\uffff]/g, '\\$&'));
  return `^(?:${parts.join('.*')})$`;
}

function message(type: string, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from(type, 'latin1'), int32(4 + body.length), body]);
}

function text(value: string): Buffer {
  return Buffer.from(`${value}\0`, 'utf8');
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
