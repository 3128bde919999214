/**
 * Follows what an agent asks, so that the answers can be understood (exchange.ts), and adds the one question that is
 * needed: a Describe before each Execute that has none.
 *
 * Why: rows come without a description where the agent described the statement long before, and only what is described at
 * that very moment is certain to be what is executed. Between a Describe and a later Execute a name may have come to mean
 * something else, in ways that do not show (CLOSE and DECLARE inside of a function).
 */
import { CALL_MAX_LENGTH, LARGE_OBJECT_FUNCTIONS } from '../large-objects.ts';
import { HEADER_BYTES, type LongMessage, MessageRewriter, type Plan } from '../message-rewriter.ts';
import { STATEMENT_MAX_BYTES } from '../parser.ts';
import type { Exchange, Expected } from './exchange.ts';
import type { StatementFacts } from './touch.ts';

export interface ToServerOptions {
  /** Of the start-up packet, which goes before the first message. */
  readonly startupBytes: number;
  readonly exchange: Exchange;
  /** Whether it matters which functions are called by number. */
  readonly readsCalls: boolean;
  /** Null: the text was not understood. */
  readonly factsOf: (text: Buffer) => StatementFacts | null;
}

const QUERY = 0x51; // 'Q'
const PARSE = 0x50; // 'P'
const BIND = 0x42; // 'B'
const DESCRIBE = 0x44; // 'D'
const EXECUTE = 0x45; // 'E'
const CALL = 0x46; // 'F'
const TERMINATE = 0x58; // 'X'
const PORTAL = 0x50; // 'P'
const NOTHING = Buffer.alloc(0);

/** What asks for one answer that says nothing about rows. */
const SIMPLE: ReadonlyMap<number, Expected> = new Map<number, Expected>([
  [0x43, { kind: 'close' }],
  [0x53, { kind: 'sync' }],
  [0x63, { kind: 'copy-end' }], // CopyDone
  [0x66, { kind: 'copy-end' }], // CopyFail
]);
/** CopyData, Flush, Terminate, and answers to authentication requests. */
const UNANSWERED: ReadonlySet<number> = new Set([...Buffer.from('dHXp', 'latin1')]);
/** These do not come between a Describe and its Execute. */
const HARMLESS: ReadonlySet<number> = new Set([DESCRIBE, EXECUTE, ...Buffer.from('H', 'latin1')]);

/** A statement's name and the types of 65,535 parameters, beside the text. */
const PARSE_MAX_LENGTH = STATEMENT_MAX_BYTES + 65_536 + 4 * 65_535;
/** PostgreSQL cuts names of its own at 63 bytes; those of portals and statements are as long as a driver likes. */
const NAMES_MAX_LENGTH = 8_192;

/** Large objects are no columns; of what else is called by number it does not show what it gives. */
const BY_NUMBER = 'a call of a function by number, which cannot be read';

export class ToServer extends MessageRewriter {
  readonly #options: ToServerOptions;
  readonly #exchange: Exchange;
  #terminated = false;
  /** The portal that has just been described. */
  #described: string | null = null;

  constructor(options: ToServerOptions) {
    super('agent');
    this.#options = options;
    this.#exchange = options.exchange;
    this.passRaw(options.startupBytes);
  }

  /** Whether a question of somebody else's may be put in after what has come out so far. */
  get mayAsk(): boolean {
    return this.atBoundary && !this.#terminated;
  }

  protected override plan(type: number, length: number): Plan {
    if (!HARMLESS.has(type)) this.#described = null;
    const simple = SIMPLE.get(type);
    if (simple !== undefined) {
      this.#exchange.push(simple);
      return 'pass';
    }
    if (type === TERMINATE) this.#terminated = true;
    if (UNANSWERED.has(type)) return 'pass';
    switch (type) {
      case QUERY:
        if (length - 5 <= STATEMENT_MAX_BYTES) return 'whole';
        this.#exchange.push({ kind: 'query', facts: null });
        return 'pass';
      case CALL:
        if (!this.#options.readsCalls) return this.#called();
        if (length > CALL_MAX_LENGTH) throw this.refused(BY_NUMBER);
        return 'whole';
      case PARSE:
        if (length <= PARSE_MAX_LENGTH) return 'whole';
        this.#exchange.push({ kind: 'parse', name: null, facts: null });
        return 'pass';
      case BIND:
        return this.#bind(length);
      case DESCRIBE:
      case EXECUTE:
        if (length > NAMES_MAX_LENGTH) throw this.refused('a name that is too long');
        return 'whole';
      default:
        throw this.refused('a message of unknown type');
    }
  }

  protected override whole(bytes: Buffer, at: number, end: number): Uint8Array | null {
    switch (bytes[at]) {
      case QUERY:
        this.#exchange.push({ kind: 'query', facts: this.#facts(bytes, at + HEADER_BYTES, end) });
        return null;
      case CALL:
        if (end - at < HEADER_BYTES + 4 || !LARGE_OBJECT_FUNCTIONS.has(bytes.readUInt32BE(at + HEADER_BYTES)))
          throw this.refused(BY_NUMBER);
        this.#called();
        return null;
      case PARSE: {
        const nameEnd = this.#nul(bytes, at + HEADER_BYTES, end);
        const name = bytes.toString('latin1', at + HEADER_BYTES, nameEnd);
        this.#exchange.push({ kind: 'parse', name, facts: this.#facts(bytes, nameEnd + 1, end) });
        return null;
      }
      case BIND: {
        const portalEnd = this.#nul(bytes, at + HEADER_BYTES, end);
        const statementEnd = this.#nul(bytes, portalEnd + 1, end);
        const portal = bytes.toString('latin1', at + HEADER_BYTES, portalEnd);
        const statement = bytes.toString('latin1', portalEnd + 1, statementEnd);
        this.#exchange.push({ kind: 'bind', portal, statement });
        return null;
      }
      case DESCRIBE:
        this.#describe(bytes, at, end);
        return null;
      default:
        return this.#execute(bytes, at, end);
    }
  }

  #called(): 'pass' {
    this.#exchange.push({ kind: 'call' });
    return 'pass';
  }

  #facts(bytes: Buffer, from: number, end: number): StatementFacts | null {
    return this.#options.factsOf(bytes.subarray(from, this.#nul(bytes, from, end)));
  }

  #nul(bytes: Buffer, from: number, end: number): number {
    const at = bytes.indexOf(0, from);
    if (at === -1 || at >= end) throw this.refused('a text without end');
    return at;
  }

  /** Portal and statement stand at the front; what follows may be as long as it likes. */
  #bind(length: number): Plan {
    if (length <= NAMES_MAX_LENGTH) return 'whole';
    const expected: Extract<Expected, { kind: 'bind' }> = { kind: 'bind', portal: null, statement: null };
    this.#exchange.push(expected);
    return new BindNames(expected);
  }

  #describe(bytes: Buffer, at: number, end: number): void {
    const isPortal = bytes[at + HEADER_BYTES] === PORTAL;
    const name = bytes.toString(
      'latin1',
      at + HEADER_BYTES + 1,
      this.#nul(bytes, at + HEADER_BYTES + 1, end),
    );
    this.#described = isPortal ? name : null;
    this.#exchange.push(
      isPortal ? { kind: 'describe-portal', portal: name, ours: false } : { kind: 'describe-statement' },
    );
  }

  #execute(bytes: Buffer, at: number, end: number): Buffer | null {
    const nameEnd = this.#nul(bytes, at + HEADER_BYTES, end);
    const portal = bytes.toString('latin1', at + HEADER_BYTES, nameEnd);
    const isDescribed = this.#described === portal;
    this.#described = null;
    if (!isDescribed) this.#exchange.push({ kind: 'describe-portal', portal, ours: true });
    this.#exchange.push({ kind: 'execute', portal });
    if (isDescribed) return null;
    const name = bytes.subarray(at + HEADER_BYTES, nameEnd + 1);
    const describe = Buffer.alloc(HEADER_BYTES + 1 + name.length);
    describe.writeUInt8(DESCRIBE, 0);
    describe.writeUInt32BE(5 + name.length, 1);
    describe.writeUInt8(PORTAL, HEADER_BYTES);
    name.copy(describe, HEADER_BYTES + 1);
    return Buffer.concat([describe, bytes.subarray(at, end)]);
  }
}

/** Reads the two names of a Bind as it passes. Names that are too long stay unknown. */
class BindNames implements LongMessage {
  readonly #expected: Extract<Expected, { kind: 'bind' }>;
  #text = '';
  #done = false;

  constructor(expected: Extract<Expected, { kind: 'bind' }>) {
    this.#expected = expected;
  }

  push(part: Buffer): Uint8Array {
    if (!this.#done) this.#read(part);
    return part;
  }

  #read(part: Buffer): void {
    this.#text += part.toString('latin1', 0, NAMES_MAX_LENGTH);
    const [portal, statement, rest] = this.#text.split('\0', 3);
    this.#done = rest !== undefined || this.#text.length > NAMES_MAX_LENGTH;
    if (rest === undefined || portal === undefined || statement === undefined) return;
    this.#expected.portal = portal;
    this.#expected.statement = statement;
  }

  end(): Uint8Array {
    return NOTHING;
  }
}
