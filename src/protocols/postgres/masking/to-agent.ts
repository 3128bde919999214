/**
 * Masks what a server answers: rows, data of COPY, and what it says in words.
 *
 * Each answer is held against what was asked (exchange.ts). One that does not belong there is refused: a row taken for
 * one of another result would be masked by the wrong columns.
 */
import { BoundedMap } from '../../../core/bounded-map.ts';
import type { Masker, MaskHit } from '../../../mask/masker.ts';
import { BACKEND_KEY_MAX_LENGTH } from '../cancel-key.ts';
import { LARGE_OBJECT_FUNCTIONS, LO_READ } from '../large-objects.ts';
import { message as framed, HEADER_BYTES } from '../message.ts';
import { type LongMessage, MessageRewriter, type Plan, type Run } from '../message-rewriter.ts';
import type { Catalog } from './catalog.ts';
import { cellOf } from './cell.ts';
import type { ColumnRules } from './column-rules.ts';
import { type CopyOut, planCopy } from './copy-out.ts';
import type { Exchange, Expected } from './exchange.ts';
import type { LookUp } from './look-up.ts';
import { Names } from './names.ts';
import { endsSession, type Guard, NoticeMasker } from './notices.ts';
import type { RequestMasks } from './requests/request-masks.ts';
import { type DescribedColumn, planRows, readDescription, renamed } from './result.ts';
import type { RowMasker } from './rows.ts';
import { hasItsShape } from './shapes.ts';
import type { StatementFacts } from './touch.ts';

export interface ToAgentOptions {
  readonly exchange: Exchange;
  readonly masker: Masker;
  readonly columns: ColumnRules;
  readonly onHits: (hits: readonly MaskHit[]) => void;
  /** Null where no mask names a column. */
  readonly lookUp: LookUp | null;
  /** Told of what the server answers; null where nothing is masked in requests. */
  readonly requests: RequestMasks | null;
  /** Nothing is masked in answers. */
  readonly onlyFollows: boolean;
}

/** Longer rows are masked as they pass. */
const ROW_HELD_MAX_LENGTH = 1_048_576;
/** Descriptions of 1,664 columns with names of 63 bytes have 140 kB; errors, notices and the like are seldom longer. */
const HELD_MAX_LENGTH = 1_048_576;

const NOTHING = Buffer.alloc(0);
const ROW = 0x44; // 'D'
const CALL_RESULT = 0x56; // 'V'
const IDLE = 0x49; // 'I'
const FAILED = 0x45; // 'E'

/** With descriptions of 2 KiB, about half a MiB for a session. */
const PLANS_MAX = 64;
const PLAN_KEY_MAX_BYTES = 2_048;

interface KnownPlan {
  readonly facts: StatementFacts | null;
  readonly catalog: Catalog | null;
  readonly lasting: boolean;
  readonly rows: RowMasker;
  /** What the agent gets in the place of the description; null: itself. */
  readonly instead: Uint8Array | null;
}

/** Messages that are looked at whole. */
const WHOLE: ReadonlySet<string> = new Set('123CDEGHINSTWZAcnst');
/** Only while a session starts: authentication, the key to cancel with, the version. */
const STARTING: ReadonlySet<string> = new Set('RKv');
/** They pass unread, so they are no longer than they can be: a Kerberos token, a key of 256 bytes, names of options. */
const STARTING_MAX_LENGTH: Readonly<Record<string, number>> = {
  R: 65_544,
  K: BACKEND_KEY_MAX_LENGTH,
  v: 4_096,
};

export class ToAgent extends MessageRewriter {
  readonly #options: ToAgentOptions;
  readonly #exchange: Exchange;
  readonly #notices: NoticeMasker;
  readonly #names: Names;
  readonly #hasColumns: boolean;
  /** How the rows are masked that come now. */
  #rows: RowMasker | null = null;
  /** How results were masked that were described in the same words: programs ask the same over and over. */
  readonly #plans = new BoundedMap<string, KnownPlan>(PLANS_MAX);
  /** The COPY whose data comes now. */
  #copy: CopyOut | null = null;
  /** COPYs of the current question that have begun. */
  #copies = 0;
  /** Since the first ReadyForQuery. */
  #started = false;

  constructor(options: ToAgentOptions) {
    super('server');
    this.#options = options;
    this.#exchange = options.exchange;
    this.#notices = new NoticeMasker(options.masker, options.onHits);
    this.#names = new Names(options.columns, options.lookUp);
    this.#hasColumns = options.columns.rules.length > 0;
  }

  get #catalog(): Catalog | null {
    return this.#options.lookUp?.catalog ?? null;
  }

  protected override plan(type: number, length: number): Plan {
    const letter = String.fromCharCode(type);
    if (letter === 'D' && this.#exchange.head?.kind !== 'look-up') return this.#planRow(length);
    if (letter === 'd') return this.#planData(length);
    if (letter === 'V') return this.#planCall(length);
    if (STARTING.has(letter)) {
      if (this.#started) throw this.refused('a message that belongs to the start of a session');
      if (length > (STARTING_MAX_LENGTH[letter] ?? 0))
        throw this.refused('a message that is too long for a start');
      return 'pass';
    }
    if (!WHOLE.has(letter)) throw this.refused('a message of unknown type');
    if (length > HELD_MAX_LENGTH) throw this.refused('a message that is too long to be looked at');
    return 'whole';
  }

  #planRow(length: number): Plan {
    const rows = this.#rows;
    if (this.#options.onlyFollows && this.#expectsRows) return 'pass';
    if (rows === null || !this.#expectsRows) throw this.refused('a row nobody has described');
    if (rows.passes) return 'pass';
    return length <= ROW_HELD_MAX_LENGTH ? 'whole' : rows.long();
  }

  #planData(length: number): Plan {
    if (this.#options.onlyFollows) return 'pass';
    if (this.#copy === null) throw this.refused('data of a COPY nobody has asked for');
    return length <= ROW_HELD_MAX_LENGTH ? 'whole' : this.#copy.long();
  }

  /** The result of a FunctionCall. */
  #planCall(length: number): Plan {
    const { head } = this.#exchange;
    if (head?.kind !== 'call') throw this.refused('the result of a function nobody has called');
    const { functionOid, format } = head;
    if (this.#options.onlyFollows || length < 8) return 'pass';
    // Whoever reads a large object may count on the length of what is read.
    if (functionOid === LO_READ && format === 1) return new CallResult(this.#options.masker);
    // They give the numbers of objects and places in them.
    if (functionOid !== LO_READ && LARGE_OBJECT_FUNCTIONS.has(functionOid)) return 'pass';
    if (format === null || length > HELD_MAX_LENGTH)
      throw this.refused('the result of a function that is too long');
    return 'whole';
  }

  /** Of what type it is does not show. */
  #called(message: Buffer, head: Expected | null): Uint8Array | null {
    if (head?.kind !== 'call') throw this.#unasked();
    const { masker, onHits } = this.#options;
    const cell = cellOf({ typeOid: 0, format: head.format ?? 0, masker, onHits });
    const value = message.subarray(HEADER_BYTES + 4);
    if (message.readInt32BE(HEADER_BYTES) === -1 && value.length === 0) return null;
    if (message.readInt32BE(HEADER_BYTES) !== value.length) throw this.refused('a result unlike its length');
    const masked = cell?.whole(value);
    if (masked === undefined) return null;
    const size = Buffer.alloc(4);
    size.writeInt32BE(masked === null ? -1 : masked.length);
    return framed(CALL_RESULT, size, masked ?? NOTHING);
  }

  /** Rows, as many as there are, at once: it is much faster than one by one. */
  protected override run(bytes: Buffer, at: number): Run | null {
    const rows = this.#rows;
    if (bytes[at] !== ROW || rows === null || rows.passes || !this.#expectsRows) return null;
    return rows.rows(bytes, at, bytes.length);
  }

  get #expectsRows(): boolean {
    const kind = this.#exchange.head?.kind;
    return kind === 'query' || kind === 'execute';
  }

  protected override whole(bytes: Buffer, at: number, end: number): Uint8Array | null {
    const letter = String.fromCharCode(bytes[at] ?? 0);
    if (!hasItsShape(letter, bytes, at, end)) throw this.refused('a message that is not as its type is');
    switch (letter) {
      case 'S':
        return this.#notices.parameter(bytes.subarray(at, end));
      case 'A':
        return this.#notices.notification(bytes.subarray(at, end));
      case 'N':
        return this.#notices.notice(bytes.subarray(at, end), this.#guard());
    }
    const head = this.#exchange.head;
    if (head?.kind === 'look-up') return this.#lookedUp(letter, bytes.subarray(at, end));
    switch (letter) {
      case 'D':
        return this.#row(bytes, at, end);
      case 'd':
        return this.#copy?.whole(bytes, at, end) ?? null;
      case 'V':
        return this.#called(bytes.subarray(at, end), head);
      case 'T':
        return this.#described(bytes, at, end, head);
      case 'n':
        return this.#describedNothing(head);
      case 't':
        if (head?.kind !== 'describe-statement') throw this.#unasked();
        this.#options.requests?.described(head.name, bytes.subarray(at, end));
        return null;
      case 'C':
      case 'I':
      case 's':
        return this.#completed(head);
      case 'E':
        return this.#failed(bytes.subarray(at, end));
      case 'Z':
        return this.#ready(bytes[at + HEADER_BYTES] ?? 0, head);
      case 'c':
        return this.#copied();
      case 'G':
      case 'H':
      case 'W':
        return this.#copyBegins(letter, bytes.subarray(at, end), head);
      default:
        return this.#named(letter, head);
    }
  }

  /** One that came in pieces. */
  #row(bytes: Buffer, at: number, end: number): Uint8Array | null {
    const instead = this.#rows?.rows(bytes, at, end).instead ?? null;
    return instead === null ? null : Buffer.concat(instead);
  }

  /** ParseComplete, BindComplete, CloseComplete: from here on names mean what was asked. */
  #named(letter: string, head: Expected | null): null {
    if (letter === '1' && head?.kind === 'parse') {
      this.#names.parsed(head.name, head.facts, head.bytes);
      this.#options.requests?.parsed(head.name, head.prepared);
    } else if (letter === '2' && head?.kind === 'bind') this.#names.bound(head.portal, head.statement);
    else if (letter !== '3' || head?.kind !== 'close') throw this.#unasked();
    this.#exchange.pop();
    return null;
  }

  #factsOf(head: Expected | null): StatementFacts | null {
    if (head?.kind === 'query' || head?.kind === 'parse') return head.facts;
    if (head?.kind === 'bind') return this.#names.factsOfStatement(head.statement);
    return head?.kind === 'execute' ? this.#names.factsOf(head.portal) : null;
  }

  #described(bytes: Buffer, at: number, end: number, head: Expected | null): Uint8Array | null {
    if (head?.kind === 'query') {
      this.#names.ran(head.facts);
      return this.#planResult(bytes, at, end, head.facts, this.#names.mayShow(head.facts, null));
    }
    if (head?.kind !== 'describe-portal' && head?.kind !== 'describe-statement') throw this.#unasked();
    this.#exchange.pop();
    if (head.kind === 'describe-statement') {
      // Whoever waits for it before they execute it, executes what is known by then.
      this.#looksFor(readDescription(bytes, at, end));
      return this.#renamed(bytes.subarray(at, end));
    }
    const facts = this.#names.factsOf(head.portal);
    const instead = this.#planResult(bytes, at, end, facts, this.#names.mayShow(facts, head.portal));
    return head.ours ? NOTHING : instead;
  }

  #renamed(description: Buffer): Uint8Array | null {
    return this.#options.onlyFollows ? null : renamed(description, (name) => this.#notices.name(name));
  }

  /** What is sent for the description; null: itself. */
  #planResult(
    bytes: Buffer,
    at: number,
    end: number,
    facts: StatementFacts | null,
    lasting: boolean,
  ): Uint8Array | null {
    const { columns, masker, onHits } = this.#options;
    const catalog = this.#catalog;
    const key = bytes.toString('latin1', at, end);
    const known = this.#plans.get(key);
    if (known?.facts === facts && known.catalog === catalog && known.lasting === lasting) {
      this.#rows = known.rows;
      return known.instead;
    }
    const described = readDescription(bytes, at, end);
    const factsOf = (column: DescribedColumn) => columns.factsOf(column, facts, catalog, lasting);
    const rows = planRows(described, factsOf, masker, onHits);
    this.#rows = rows;
    const instead = this.#renamed(bytes.subarray(at, end));
    const isNew = this.#looksFor(described);
    if (!isNew && key.length <= PLAN_KEY_MAX_BYTES)
      this.#plans.set(key, { facts, catalog, lasting, rows, instead });
    return instead;
  }

  /** Has tables looked up that are newer than what is known. @returns whether there are any */
  #looksFor(described: readonly DescribedColumn[]): boolean {
    const catalog = this.#catalog;
    const isNew = catalog !== null && described.some(({ tableOid }) => catalog.isNewer(tableOid));
    if (isNew) this.#options.lookUp?.expire();
    return isNew;
  }

  #describedNothing(head: Expected | null): Uint8Array | null {
    if (head?.kind !== 'describe-portal' && head?.kind !== 'describe-statement') throw this.#unasked();
    this.#exchange.pop();
    if (head.kind === 'describe-statement') return null;
    this.#rows = null;
    return head.ours ? NOTHING : null;
  }

  #completed(head: Expected | null): null {
    if (head?.kind !== 'query' && head?.kind !== 'execute') throw this.#unasked();
    this.#names.ran(this.#factsOf(head));
    this.#rows = null;
    this.#copy = null;
    this.#exchange.copyFromEnds();
    if (head.kind === 'query') return null;
    this.#copies = 0;
    this.#exchange.pop();
    return null;
  }

  #failed(message: Buffer): Uint8Array | null {
    const guard = this.#guard();
    this.#rows = null;
    this.#copy = null;
    this.#copies = 0;
    this.#options.requests?.failed();
    this.#exchange.failed();
    return this.#notices.notice(message, guard);
  }

  #guard(): Guard {
    if (!this.#hasColumns) return 'none';
    const head = this.#exchange.head;
    const facts = this.#factsOf(head);
    // Calls are of large objects only, which are no columns.
    const isNone = head === null || ['sync', 'call', 'look-up'].includes(head.kind);
    if (!isNone && this.#names.touched(facts)) return this.#names.runsCode(facts) ? 'code' : 'all';
    return this.#options.columns.meanSomething(this.#catalog) ? 'details' : 'none';
  }

  #ready(status: number, head: Expected | null): Uint8Array | null {
    if (head === null && !this.#started) this.#started = true;
    else if (head?.kind === 'query' || head?.kind === 'sync' || head?.kind === 'call') this.#exchange.pop();
    else throw this.#unasked();
    if (this.#exchange.isIdle) this.#options.requests?.pauses();
    this.#rows = null;
    this.#copy = null;
    this.#copies = 0;
    // The answer to what is asked now ends in a ReadyForQuery of its own, which stands for this one.
    const mayAsk = status !== FAILED && this.#exchange.isIdle;
    return mayAsk && this.#options.lookUp?.begin(status !== IDLE) === true ? NOTHING : null;
  }

  #lookedUp(letter: string, message: Buffer): Uint8Array | null {
    // The session ends, whoever asked: its agent must hear why.
    if (letter === 'E' && endsSession(message)) return this.#notices.notice(message, this.#guard());
    if (this.#options.lookUp?.take(letter, message) === false) return NOTHING;
    this.#exchange.pop();
    const error = this.#options.lookUp?.lost(message) ?? null;
    if (error === null) return null;
    const shown = this.#notices.notice(error, this.#guard()) ?? error;
    return Buffer.concat([shown, message]);
  }

  #copyBegins(letter: string, message: Buffer, head: Expected | null): null {
    if (head?.kind !== 'query' && head?.kind !== 'execute') throw this.#unasked();
    if (letter === 'W') throw this.refused('a stream of replication, which cannot be read');
    if (letter === 'G') this.#exchange.copyFromBegins();
    const facts = this.#factsOf(head);
    const shape = facts?.copies[this.#copies] ?? null;
    this.#copies += 1;
    if (letter === 'G') this.#options.requests?.copyBegins(message[HEADER_BYTES] === 1, shape);
    if (letter === 'G' || this.#options.onlyFollows) return null;
    const { columns, masker, onHits } = this.#options;
    // Format of the whole, count of columns, format of each.
    const isBinary = message[HEADER_BYTES] === 1;
    const count = message.readUInt16BE(HEADER_BYTES + 1);
    this.#copy = planCopy({ isBinary, count, shape, facts, columns, catalog: this.#catalog, masker, onHits });
    return null;
  }

  #copied(): null {
    if (this.#options.onlyFollows) return null;
    if (this.#copy === null) throw this.#unasked();
    this.#copy.end();
    this.#copy = null;
    return null;
  }

  #unasked(): Error {
    return this.refused('an answer to what was not asked');
  }
}

/** Length of the value, the value. */
class CallResult implements LongMessage {
  readonly #stream: ReturnType<Masker['stream']>;
  #head = 4;

  constructor(masker: Masker) {
    this.#stream = masker.stream();
  }

  push(part: Buffer): Uint8Array {
    const head = part.subarray(0, this.#head);
    this.#head -= head.length;
    return Buffer.concat([head, this.#stream.push(part.subarray(head.length))]);
  }

  end(): Uint8Array {
    return this.#stream.end();
  }
}
