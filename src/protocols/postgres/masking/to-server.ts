/**
 * Follows what an agent asks, so that the answers can be understood (exchange.ts), and adds the one question that is
 * needed: a Describe before each Execute that has none.
 *
 * Why: rows come without a description where the agent described the statement long before, and only what is described at
 * that very moment is certain to be what is executed. Between a Describe and a later Execute a name may have come to mean
 * something else, in ways that do not show (CLOSE and DECLARE inside of a function).
 */
import { CALL_MAX_LENGTH, LARGE_OBJECT_FUNCTIONS } from '../large-objects.ts';
import { HEADER_BYTES, message } from '../message.ts';
import { type LongMessage, MessageRewriter, type Plan, type Run } from '../message-rewriter.ts';
import { STATEMENT_MAX_BYTES } from '../parser.ts';
import type { Exchange, Expected } from './exchange.ts';
import type { RequestMasks } from './requests/request-masks.ts';
import type { StatementFacts } from './touch.ts';

export interface ToServerOptions {
  /** Of the start-up packet, which goes before the first message. */
  readonly startupBytes: number;
  readonly exchange: Exchange;
  /** Whether it matters which functions are called by number. */
  readonly readsCalls: boolean;
  /** Answers are only followed, and need not be described. */
  readonly onlyFollows: boolean;
  /** Null where nothing is masked in what the agent sends. */
  readonly requests: RequestMasks | null;
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
const COPY_DATA = 0x64; // 'd'
const COPY_DONE = 0x63; // 'c'
const COPY_FAIL = 0x66; // 'f'
const SYNC = 0x53; // 'S'
const PORTAL = 0x50; // 'P'
const NOTHING = Buffer.alloc(0);

/** What asks for one answer that says nothing about rows. */
const SIMPLE: ReadonlyMap<number, Expected> = new Map<number, Expected>([
  [0x43, { kind: 'close' }],
  [SYNC, { kind: 'sync' }],
  [COPY_DONE, { kind: 'copy-end' }],
  [COPY_FAIL, { kind: 'copy-end' }],
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
      return this.#planSimple(type, length);
    }
    if (type === TERMINATE) this.#terminated = true;
    if (type === COPY_DATA && this.#requests !== null) return this.#planData(this.#requests);
    if (UNANSWERED.has(type)) return 'pass';
    switch (type) {
      case QUERY:
        if (length - 5 <= STATEMENT_MAX_BYTES) return 'whole';
        this.#exchange.push({ kind: 'query', facts: null, bytes: 0 });
        return 'pass';
      case CALL:
        if (this.#options.readsCalls && length > CALL_MAX_LENGTH) throw this.refused(BY_NUMBER);
        return this.#planCall(length);
      case PARSE:
        if (length <= PARSE_MAX_LENGTH) return 'whole';
        this.#exchange.push({ kind: 'parse', name: null, facts: null, prepared: null, bytes: 0 });
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

  protected override run(bytes: Buffer, at: number): Run | null {
    if (bytes[at] !== COPY_DATA) return null;
    const run = this.#requests?.data(bytes, at) ?? null;
    if (run !== null) this.#described = null;
    return run;
  }

  get #requests(): RequestMasks | null {
    return this.#options.requests;
  }

  #planSimple(type: number, length: number): Plan {
    if (this.#requests === null) return 'pass';
    if (type === SYNC) this.#requests.synced();
    if (type === COPY_FAIL) return this.#requests.planFail(length);
    return type === COPY_DONE ? 'whole' : 'pass';
  }

  #planCall(length: number): Plan {
    if (length <= CALL_MAX_LENGTH) return 'whole';
    this.#exchange.push({ kind: 'call', functionOid: 0, format: null });
    return this.#requests?.callTooLong() ?? 'pass';
  }

  #planData(requests: RequestMasks): Plan {
    const { only, isIdle } = this.#exchange;
    const plan = requests.planData(isIdle, only?.kind === 'query' ? (only.facts?.copies ?? null) : null);
    if (plan === null) throw this.refused('data of a COPY that is not known yet');
    return plan;
  }

  protected override whole(bytes: Buffer, at: number, end: number): Uint8Array | null {
    switch (bytes[at]) {
      case QUERY: {
        const facts = this.#facts(bytes, at + HEADER_BYTES, end);
        this.#exchange.push({ kind: 'query', facts, bytes: end - at });
        this.#requests?.queried(bytes.subarray(at + HEADER_BYTES, end - 1));
        return null;
      }
      case COPY_DONE:
        return this.#requests?.dataEnds(bytes.subarray(at, end)) ?? null;
      case COPY_FAIL:
        return this.#requests?.fail(bytes.subarray(at, end)) ?? null;
      case CALL:
        return this.#call(bytes.subarray(at, end));
      case PARSE:
        this.#parse(bytes, at, end);
        return null;
      case BIND: {
        const portalEnd = this.#nul(bytes, at + HEADER_BYTES, end);
        const statementEnd = this.#nul(bytes, portalEnd + 1, end);
        const portal = bytes.toString('latin1', at + HEADER_BYTES, portalEnd);
        const statement = bytes.toString('latin1', portalEnd + 1, statementEnd);
        this.#exchange.push({ kind: 'bind', portal, statement });
        return this.#requests?.bind(bytes.subarray(at, end)) ?? null;
      }
      case DESCRIBE:
        this.#describe(bytes, at, end);
        return null;
      default:
        return this.#execute(bytes, at, end);
    }
  }

  /** A denied one is a query, which is answered as it would be. */
  #call(message: Buffer): Uint8Array | null {
    if (message.length < HEADER_BYTES + 6) throw this.refused('a call of no function');
    const functionOid = message.readUInt32BE(HEADER_BYTES);
    if (this.#options.readsCalls && !LARGE_OBJECT_FUNCTIONS.has(functionOid)) throw this.refused(BY_NUMBER);
    // The last that it says is how the result is to be written.
    this.#exchange.push({ kind: 'call', functionOid, format: message.readUInt16BE(message.length - 2) });
    return this.#requests?.call(message) ?? null;
  }

  #parse(bytes: Buffer, at: number, end: number): void {
    const nameEnd = this.#nul(bytes, at + HEADER_BYTES, end);
    const textEnd = this.#nul(bytes, nameEnd + 1, end);
    const name = bytes.toString('latin1', at + HEADER_BYTES, nameEnd);
    const facts = this.#facts(bytes, nameEnd + 1, end);
    const text = bytes.subarray(nameEnd + 1, textEnd);
    const prepared = this.#requests?.prepared(name, text, typesAt(bytes.subarray(textEnd + 1, end))) ?? null;
    this.#exchange.push({ kind: 'parse', name, facts, prepared, bytes: text.length });
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
    const long = this.#requests?.planBind(length) ?? null;
    if (length <= NAMES_MAX_LENGTH || long === 'whole') return 'whole';
    const expected: Extract<Expected, { kind: 'bind' }> = { kind: 'bind', portal: null, statement: null };
    this.#exchange.push(expected);
    return new BindNames(expected, long);
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
      isPortal
        ? { kind: 'describe-portal', portal: name, ours: false }
        : { kind: 'describe-statement', name },
    );
  }

  #execute(bytes: Buffer, at: number, end: number): Buffer | null {
    const nameEnd = this.#nul(bytes, at + HEADER_BYTES, end);
    const portal = bytes.toString('latin1', at + HEADER_BYTES, nameEnd);
    const isDescribed = this.#options.onlyFollows || this.#described === portal;
    this.#described = null;
    if (!isDescribed) this.#exchange.push({ kind: 'describe-portal', portal, ours: true });
    this.#exchange.push({ kind: 'execute', portal });
    if (isDescribed) return null;
    const name = bytes.subarray(at + HEADER_BYTES, nameEnd + 1);
    return Buffer.concat([message(DESCRIBE, Buffer.of(PORTAL), name), bytes.subarray(at, end)]);
  }
}

/** Reads the two names of a Bind as it passes. Names that are too long stay unknown. */
class BindNames implements LongMessage {
  readonly #expected: Extract<Expected, { kind: 'bind' }>;
  readonly #masks: LongMessage | null;
  #text = '';
  #done = false;

  constructor(expected: Extract<Expected, { kind: 'bind' }>, masks: LongMessage | null) {
    this.#expected = expected;
    this.#masks = masks;
  }

  push(part: Buffer): Uint8Array {
    if (!this.#done) this.#read(part);
    return this.#masks?.push(part) ?? part;
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
    return this.#masks?.end() ?? NOTHING;
  }
}

/** What a Parse says of its parameters: how many, and the type of each. */
function typesAt(bytes: Buffer): number[] {
  const types: number[] = [];
  for (let at = 2; at + 4 <= bytes.length; at += 4) types.push(bytes.readUInt32BE(at));
  return types;
}
