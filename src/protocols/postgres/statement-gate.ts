/**
 * Reads every statement of a session before the server does, and lets none pass that is denied or not understood.
 *
 * A denied statement is not left out: in its place the server gets a text that is no SQL, which holds a token, and its
 * error about that is turned into the denial. So everything that follows from an error is the server's own doing and
 * right by construction: a transaction block is aborted, pipelined messages are skipped to Sync, the session goes on. The
 * token is random and new for each session, so no error but that one can be taken for it.
 *
 * Statements come in Query and Parse. Prepared ones are judged when they are prepared, because policy cannot change within a flow.
 * Where somebody has to be asked, that is done whenever they get values to be executed with (Bind, EXECUTE; held-statements.ts): preparing one
 * runs nothing, and an approval is for one execution. A call by function number (FunctionCall) is read as the same call in a
 * SELECT where it is of large objects, whose functions have numbers of their own; any other is denied.
 *
 * A statement may have to wait for its decision (../layer.ts). Nothing of it is at the server then, everything before it is, and what
 * the agent sends after it waits behind it; what the server says goes on. Denied in the end, it is one that was denied at once.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import type { Operation } from '../../flow/operation.ts';
import { LATER } from '../layer.ts';
import { errorAnswer } from './answers.ts';
import type { Classified } from './classify.ts';
import { type Denial, Denials } from './denials.ts';
import { HeldStatements } from './held-statements.ts';
import { CALL_MAX_LENGTH, LARGE_OBJECT_FUNCTIONS } from './large-objects.ts';
import { HEADER_BYTES } from './message.ts';
import { type LeftOut, MessageRewriter, type Plan, type Whole } from './message-rewriter.ts';
import { STATEMENT_MAX_BYTES } from './parser.ts';
import { TerminateWatch } from './terminate-watch.ts';

/** What somebody is asked about. */
export interface Asked {
  readonly operations: readonly Operation[];
  /** The text, and those of prepared statements that it executes. */
  readonly texts: readonly Buffer[];
  /** With which values; null where there are none but those in the text. */
  readonly bind: { readonly message: Buffer; readonly types: readonly number[] } | null;
}

/** What is refused: a text that nobody has judged, or what `judge` has been asked about before. */
export type Refused = 'unjudged' | 'judged';

export interface GateOptions {
  /** Of the start-up packet, which goes before the first message. */
  readonly startupBytes: number;
  readonly classify: (text: Buffer) => Classified;
  /** Null: it may pass. `hold`: somebody is to be asked, unless it is denied for another operation of the same text. */
  readonly judge: (operation: Operation) => Denial | 'hold' | null;
  /** Whether `judge` may say so. */
  readonly mayHold: boolean;
  /** Asks about what is to be run; null: it may pass. LATER: the answer is given to `toServer`. */
  readonly decide: (asked: Asked) => Denial | null | typeof LATER;
  /** The agent has ended the session behind a statement that waits. */
  readonly onTerminate: () => void;
  /** A message is denied without a rule. */
  readonly onRefused: (of: Refused) => void;
  /** Masks what stands in a text that may pass; null: it passes as it is. @param name under which Parse prepares it */
  readonly rewrite?: (text: Buffer, name: string | null) => Buffer | Denial | null;
  /** Calls by number are read by somebody else. */
  readonly callsPass?: boolean;
  /** Where others deny as well. */
  readonly denials?: Denials;
}

const QUERY = 0x51; // 'Q'
const PARSE = 0x50; // 'P'
const BIND = 0x42; // 'B'
const CLOSE = 0x43; // 'C'
const SYNC = 0x53; // 'S'
const FUNCTION_CALL = 0x46; // 'F'
const COPY_DATA = 0x64; // 'd'
const ERROR_RESPONSE = 0x45; // 'E'
const PARAMETER_STATUS = 0x53; // 'S'
const READY = 0x5a; // 'Z'
const STATEMENT = 0x53; // 'S'

/**
 * What else a client may send (protocol documentation, "Message Formats"): Bind, Close, Describe, Execute, Flush, Sync,
 * Terminate, CopyData, CopyDone, CopyFail, and answers to authentication requests.
 */
const PASSED: ReadonlySet<number> = new Set([...Buffer.from('BCDEHSXdcfp', 'latin1')]);

/** A statement's name and the types of 65,535 parameters, beside the text. */
const PARSE_MAX_LENGTH = STATEMENT_MAX_BYTES + 65_536 + 4 * 65_535;
/** Looked at, in sessions with statements that need approval: the names stand in front. */
const BIND_MAX_LENGTH = 1_048_576;
/** Kept while somebody is asked about it. */
const ASKED_MAX_LENGTH = STATEMENT_MAX_BYTES;
/** A name; a longer one is none that is looked for. */
const CLOSE_MAX_LENGTH = 4_096;
/** Longer errors quote something long; ours is short. */
const ERROR_MAX_LENGTH = 65_536;
/** The two parameters that are read are short. */
const PARAMETER_MAX_LENGTH = 4_096;

const READ_OTHERWISE: Denial = {
  sqlState: '42501',
  message: 'Sluice: the statement could be read in two ways under the settings of this session',
  hint: 'Statements are read with client_encoding UTF8 and standard_conforming_strings on.',
};

const CHANGES_READING: Denial = {
  sqlState: '42501',
  message: 'Sluice: the statement would change how statements are read',
  hint: 'client_encoding stays UTF8 and standard_conforming_strings on where policy has rules about statements.',
};

const TOO_COMPLEX: Denial = {
  sqlState: '54001',
  message: `Sluice: the statement is nested too deeply, longer than ${STATEMENT_MAX_BYTES} bytes, or of too many words, to be read`,
  hint: 'Split it. What cannot be read is not passed on where policy has rules about statements.',
};

const BY_NUMBER: Denial = {
  sqlState: '42501',
  message: 'Sluice: functions may not be called by number (FunctionCall)',
  hint: 'Call it in a statement, which can be read.',
};

const CALL_TOO_LONG: Denial = {
  sqlState: '54000',
  message: `Sluice: a function is called by number (FunctionCall) with more than ${CALL_MAX_LENGTH} bytes`,
  hint: 'Write less at once.',
};

const BIND_TOO_LONG: Denial = {
  sqlState: '54000',
  message: `Sluice: the values are longer than ${ASKED_MAX_LENGTH} bytes, and need approval or may need it`,
  hint: `Beside prepared statements that need approval values have ${BIND_MAX_LENGTH} bytes at most, and with one ${ASKED_MAX_LENGTH}.`,
};

const UNCLEAR: Denial = {
  sqlState: '42501',
  message: 'Sluice: which of several statements that name means, of which one needs approval, is not certain',
  hint: 'Prepare it again and wait for the answer.',
};

const TOO_MANY: Denial = {
  sqlState: '54000',
  message:
    'Sluice: too many statements that need approval are prepared, or the name is not of up to 63 characters of ASCII',
  hint: 'Close those that are not needed any more.',
};

const NOT_PREPARED: Denial = {
  sqlState: '42501',
  message: 'Sluice: PREPARE of what needs approval, and EXECUTE, may not themselves be prepared',
  hint: 'Prepare the statement itself, or send them as simple queries.',
};

function syntaxError(message: string): Denial {
  return {
    sqlState: '42601',
    message,
    hint: 'Said by Sluice, which reads statements with the grammar of PostgreSQL 18 where policy has rules about them.',
  };
}

/** Encodings in which no byte of ASCII is ever part of another character. */
const ASCII_KEPT = /^(?:UTF8|SQL_ASCII|LATIN\d+|WIN\d+|ISO_8859_\d|KOI8[RU]|EUC_\w+)$/;

/**
 * What the server has said of the settings under which it reads; null: nothing yet.
 *
 * What it says comes after the fact: statements that were sent meanwhile may have put an earlier value back (ROLLBACK,
 * RESET ALL, DISCARD ALL). So a session that once had a value by which texts are cut otherwise is never trusted again.
 */
class Settings {
  #encoding: string | null = null;
  #standardStrings: boolean | null = null;
  #keptAscii = true;

  /** Whether the text is the same for the server as it is here. */
  fits(text: Buffer): boolean {
    if (text.includes(0x5c) && this.#standardStrings !== true) return false;
    return isAscii(text) || (this.#encoding === 'UTF8' && this.#keptAscii && isUtf8(text));
  }

  learn(name: string, value: string): void {
    if (name === 'client_encoding') {
      this.#encoding = value;
      this.#keptAscii &&= ASCII_KEPT.test(value);
    } else if (name === 'standard_conforming_strings') {
      this.#standardStrings = value === 'on' && this.#standardStrings !== false;
    }
  }
}

/** What the agent sends. */
class ToServer extends MessageRewriter<Denial | null> {
  readonly #options: GateOptions;
  readonly #settings: Settings;
  readonly #denials: Denials;
  readonly #terminates = new TerminateWatch();
  /** Null where nothing is held. */
  readonly #held: HeldStatements | null;

  constructor(options: GateOptions, settings: Settings, denials: Denials, held: HeldStatements | null) {
    super('agent');
    this.#options = options;
    this.#held = held;
    this.#settings = settings;
    this.#denials = denials;
    this.passRaw(options.startupBytes);
  }

  protected override plan(type: number, length: number): Plan {
    if (type === QUERY) return length - 5 > STATEMENT_MAX_BYTES ? this.#leftOut(QUERY, TOO_COMPLEX) : 'whole';
    if (type === PARSE) return length > PARSE_MAX_LENGTH ? this.#leftOut(PARSE, TOO_COMPLEX) : 'whole';
    // Both FunctionCall and Query end in ReadyForQuery, so one can stand for the other.
    if (type === FUNCTION_CALL) return this.#planCall(length);
    if (!PASSED.has(type)) throw this.refused('a message of unknown type');
    return this.#held === null ? 'pass' : this.#planBeside(this.#held, type, length);
  }

  /** Of what is no statement, where statements may need approval. */
  #planBeside(held: HeldStatements, type: number, length: number): Plan {
    if (type === SYNC) held.batchEnds();
    if (type === BIND && held.any)
      return length > BIND_MAX_LENGTH ? this.#leftOut(PARSE, BIND_TOO_LONG, 'judged') : 'whole';
    return type === CLOSE && held.any && length <= CLOSE_MAX_LENGTH ? 'whole' : 'pass';
  }

  protected override looksAt(type: number): boolean {
    return type !== COPY_DATA;
  }

  protected override whole(bytes: Buffer, at: number, end: number): Whole {
    const message = bytes.subarray(at, end);
    if (message[0] === CLOSE) return this.#close(message);
    if (message[0] === BIND) return this.#bind(message);
    const text = this.#textOf(message);
    if (text === null) return this.#leftOut(QUERY, BY_NUMBER).instead();
    const denial = this.#judge(message, text);
    if (message[0] !== PARSE) this.#held?.batchEnds();
    return denial === null ? this.#rewritten(message, text) : this.#stopped(message, denial);
  }

  #stopped(message: Buffer, denial: Denial | typeof LATER): Whole {
    if (denial !== LATER) return this.#deny(message, denial);
    this.#terminates.restart();
    return LATER;
  }

  #close(message: Buffer): null {
    if (message[HEADER_BYTES] === STATEMENT)
      this.#held?.prepared(message.subarray(HEADER_BYTES + 1, message.length - 1), null);
    return null;
  }

  /** Values for a prepared statement, which are for one execution. */
  #bind(message: Buffer): Whole {
    const portalEnd = message.indexOf(0, HEADER_BYTES);
    const nameEnd = portalEnd === -1 ? -1 : message.indexOf(0, portalEnd + 1);
    if (nameEnd === -1) throw this.refused('a name without end');
    const held = this.#held?.meaning(message.subarray(portalEnd + 1, nameEnd)) ?? null;
    if (held === null) return null;
    if (held === 'unclear') return this.#deny(message, this.#refuse(UNCLEAR, 'judged'));
    if (message.length > ASKED_MAX_LENGTH) return this.#deny(message, this.#refuse(BIND_TOO_LONG, 'judged'));
    const { text, operations, types } = held;
    const answer = this.#options.decide({ operations, texts: [text], bind: { message, types } });
    return answer === null ? null : this.#stopped(message, answer);
  }

  protected override decided(message: Buffer, answer: Denial | null): Buffer | null {
    if (answer !== null) return this.#deny(message, answer);
    // What it is for has been read by the server.
    if (message[0] === BIND) return null;
    const text = this.#textOf(message);
    if (text !== null && this.#settings.fits(text)) return this.#rewritten(message, text);
    // The server has said meanwhile that it reads otherwise than it did.
    return this.#deny(message, this.#refuse(READ_OTHERWISE, 'judged'));
  }

  protected override waits(bytes: Uint8Array): void {
    if (this.#terminates.sees(bytes)) this.#options.onTerminate();
  }

  /** Null: it calls a function of which it does not show what it is. */
  #textOf(message: Buffer): Buffer | null {
    if (message[0] === FUNCTION_CALL) return this.#textOfCall(message);
    return message[0] === QUERY ? this.#textOfQuery(message) : this.#textOfParse(message);
  }

  #deny(message: Buffer, denial: Denial): Buffer {
    const type = message[0] === PARSE || message[0] === BIND ? PARSE : QUERY;
    return this.#denials.substitute(type, denial);
  }

  #rewritten(message: Buffer, text: Buffer): Buffer | null {
    if (message[0] === FUNCTION_CALL) return null;
    const start = text.byteOffset - message.byteOffset;
    const name = message[0] === PARSE ? message.toString('utf8', HEADER_BYTES, start - 1) : null;
    const made = this.#options.rewrite?.(text, name) ?? null;
    if (made === null) return null;
    if (!Buffer.isBuffer(made)) return this.#deny(message, made);
    const rest = message.subarray(start + text.length);
    const rewritten = Buffer.concat([message.subarray(0, start), made, rest]);
    rewritten.writeUInt32BE(rewritten.length - 1, 1);
    return rewritten;
  }

  #planCall(length: number): Plan {
    if (this.#options.callsPass === true) return 'pass';
    return length > CALL_MAX_LENGTH ? this.#leftOut(QUERY, CALL_TOO_LONG) : 'whole';
  }

  /** Judged as what it would be in a statement. */
  #textOfCall(message: Buffer): Buffer | null {
    if (message.length < HEADER_BYTES + 4) throw this.refused('a call of no function');
    const name = LARGE_OBJECT_FUNCTIONS.get(message.readUInt32BE(HEADER_BYTES));
    return name === undefined ? null : Buffer.from(`SELECT pg_catalog.${name}()`, 'latin1');
  }

  #leftOut(substitute: number, denial: Denial, of: Refused = 'unjudged'): LeftOut {
    return {
      instead: () => {
        if (substitute === QUERY) this.#held?.batchEnds();
        return this.#denials.substitute(substitute, this.#refuse(denial, of));
      },
    };
  }

  #refuse(denial: Denial, of: Refused = 'unjudged'): Denial {
    this.#options.onRefused(of);
    return denial;
  }

  #judge(message: Buffer, text: Buffer): Denial | null | typeof LATER {
    const { classify, judge } = this.#options;
    if (text.length > STATEMENT_MAX_BYTES) return this.#refuse(TOO_COMPLEX);
    if (!this.#settings.fits(text)) return this.#refuse(READ_OTHERWISE);
    const read = classify(text);
    if (read.kind === 'syntax-error') return this.#refuse(syntaxError(read.message));
    if (read.kind === 'too-complex') return this.#refuse(TOO_COMPLEX);
    let first: Denial | null = null;
    let holds = false;
    // Each is judged, so that each is counted: one that is denied takes the others with it.
    for (const operation of read.operations) {
      const verdict = judge(operation);
      if (verdict === 'hold') holds = true;
      else first ??= verdict;
    }
    if (first !== null) return first;
    if (read.changesReading) return this.#refuse(CHANGES_READING, 'judged');
    if (this.#held === null) return null;
    if (message[0] === PARSE) return this.#prepare(this.#held, { message, text, read, holds });
    return this.#ask(this.#held, { message, text, read, holds });
  }

  /** It is sent on, and asked about when it gets values. */
  #prepare(held: HeldStatements, { message, text, read, holds }: Judged): Denial | null {
    if (read.executes.length > 0 || (holds && read.prepares.length > 0))
      return this.#refuse(NOT_PREPARED, 'judged');
    const name = message.subarray(HEADER_BYTES, message.indexOf(0, HEADER_BYTES));
    const types = message.subarray(HEADER_BYTES + name.length + text.length + 4);
    const statement = { text: Buffer.from(text), operations: read.operations, types: oidsOf(types) };
    return held.prepared(Buffer.from(name), holds ? statement : null)
      ? null
      : this.#refuse(TOO_MANY, 'judged');
  }

  #ask(held: HeldStatements, { text, read, holds }: Judged): Denial | null | typeof LATER {
    if (read.operations.some(({ verb }) => verb === 'COPY')) held.copies();
    const { operations } = read;
    const asked = { operations: [...(holds ? operations : [])], texts: [text] };
    for (const name of read.executes) {
      const executed = held.meaning(Buffer.from(name));
      if (executed === 'unclear') return this.#refuse(UNCLEAR, 'judged');
      if (executed === null) continue;
      asked.operations.push(...executed.operations);
      asked.texts.push(executed.text);
    }
    const statement = { text: Buffer.from(text), operations, types: [] };
    for (const name of read.prepares)
      if (!held.prepared(Buffer.from(name), holds ? statement : null))
        return this.#refuse(TOO_MANY, 'judged');
    // What only prepares something runs nothing of it.
    const onlyPrepares = read.prepares.length === operations.length;
    if (asked.operations.length === 0 || onlyPrepares) return null;
    return this.#options.decide({ ...asked, bind: null });
  }

  #textOfQuery(message: Buffer): Buffer {
    const end = message.indexOf(0, HEADER_BYTES);
    if (end === -1 || end !== message.length - 1)
      throw this.refused('a query that does not end where it should');
    return message.subarray(HEADER_BYTES, end);
  }

  #textOfParse(message: Buffer): Buffer {
    const nameEnd = message.indexOf(0, HEADER_BYTES);
    const textEnd = nameEnd === -1 ? -1 : message.indexOf(0, nameEnd + 1);
    const types = textEnd === -1 ? -1 : message.length - textEnd - 3;
    if (types < 0 || types !== 4 * message.readUInt16BE(textEnd + 1))
      throw this.refused('a statement that does not end where it should');
    return message.subarray(nameEnd + 1, textEnd);
  }
}

interface Judged {
  readonly message: Buffer;
  readonly text: Buffer;
  readonly read: Extract<Classified, { kind: 'operations' }>;
  /** Somebody is to be asked. */
  readonly holds: boolean;
}

function oidsOf(bytes: Buffer): number[] {
  const oids: number[] = [];
  for (let at = 0; at + 4 <= bytes.length; at += 4) oids.push(bytes.readUInt32BE(at));
  return oids;
}

/** What the server sends, start-up and authentication included. */
class ToAgent extends MessageRewriter {
  readonly #settings: Settings;
  readonly #denials: Denials;

  readonly #held: HeldStatements | null;

  constructor(settings: Settings, denials: Denials, held: HeldStatements | null) {
    super('server');
    this.#held = held;
    this.#settings = settings;
    this.#denials = denials;
  }

  protected override looksAt(type: number): boolean {
    return type === ERROR_RESPONSE || type === PARAMETER_STATUS || (type === READY && this.#held !== null);
  }

  protected override plan(type: number, length: number): Plan {
    if (!this.looksAt(type)) return 'pass';
    if (type === READY) {
      this.#held?.answered();
      return 'pass';
    }
    if (type === ERROR_RESPONSE) this.#held?.failed();
    if (type === ERROR_RESPONSE) return length > ERROR_MAX_LENGTH ? 'pass' : 'whole';
    if (length > PARAMETER_MAX_LENGTH) throw this.refused('a parameter that is too long');
    return 'whole';
  }

  protected override whole(bytes: Buffer, at: number, end: number): Buffer | null {
    const message = bytes.subarray(at, end);
    if (message[0] === PARAMETER_STATUS) {
      const [name = '', value = ''] = message.toString('utf8', HEADER_BYTES).split('\0');
      this.#settings.learn(name, value);
      return null;
    }
    const denial = this.#denials.take(message);
    return denial === null ? null : errorAnswer({ severity: 'ERROR', ...denial });
  }
}

export class StatementGate {
  readonly toServer: MessageRewriter<Denial | null>;
  readonly toAgent: MessageRewriter;
  readonly #held: HeldStatements | null;

  constructor(options: GateOptions) {
    const settings = new Settings();
    const { denials = new Denials() } = options;
    const held = options.mayHold ? new HeldStatements() : null;
    this.toServer = new ToServer(options, settings, denials, held);
    this.toAgent = new ToAgent(settings, denials, held);
    this.#held = held;
  }

  /** Somebody asks the server something behind the gate, up to a Sync of its own, whose answer comes by the gate. */
  askedBeside(): void {
    this.#held?.askedBeside();
  }
}
