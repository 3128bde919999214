/**
 * Reads every statement of a session before the server does, and lets none pass that is denied or not understood.
 *
 * A denied statement is not left out: in its place the server gets a text that is no SQL, which holds a token, and its
 * error about that is turned into the denial. So everything that follows from an error is the server's own doing and
 * right by construction: a transaction block is aborted, pipelined messages are skipped to Sync, the session goes on. The
 * token is random and new for each session, so no error but that one can be taken for it.
 *
 * Statements come in Query and Parse. Prepared ones are read when they are prepared; executing them needs no second
 * look, because policy cannot change within a flow. A call by function number (FunctionCall) is read as the same call in a
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
import { CALL_MAX_LENGTH, LARGE_OBJECT_FUNCTIONS } from './large-objects.ts';
import { HEADER_BYTES } from './message.ts';
import { type LeftOut, MessageRewriter, type Plan, type Whole } from './message-rewriter.ts';
import { STATEMENT_MAX_BYTES } from './parser.ts';

export interface GateOptions {
  /** Of the start-up packet, which goes before the first message. */
  readonly startupBytes: number;
  readonly classify: (text: Buffer) => Classified;
  /** Null: it may pass. `hold`: somebody is to be asked, unless it is denied for another operation of the same text. */
  readonly judge: (operation: Operation) => Denial | 'hold' | null;
  /** Asks about a text that holds these; null: it may pass. LATER: the answer is given to `toServer`. */
  readonly decide: (operations: readonly Operation[]) => Denial | null | typeof LATER;
  /** The agent has ended the session behind a statement that waits. */
  readonly onTerminate: () => void;
  /** A text was not understood and is denied for it. */
  readonly onRefused: () => void;
  /** Masks what stands in a text that may pass; null: it passes as it is. */
  readonly rewrite?: (text: Buffer) => Buffer | Denial | null;
  /** Calls by number are read by somebody else. */
  readonly callsPass?: boolean;
  /** Where others deny as well. */
  readonly denials?: Denials;
}

const QUERY = 0x51; // 'Q'
const PARSE = 0x50; // 'P'
const FUNCTION_CALL = 0x46; // 'F'
const COPY_DATA = 0x64; // 'd'
const ERROR_RESPONSE = 0x45; // 'E'
const PARAMETER_STATUS = 0x53; // 'S'
const TERMINATE = 0x58; // 'X'

/**
 * What else a client may send (protocol documentation, "Message Formats"): Bind, Close, Describe, Execute, Flush, Sync,
 * Terminate, CopyData, CopyDone, CopyFail, and answers to authentication requests.
 */
const PASSED: ReadonlySet<number> = new Set([...Buffer.from('BCDEHSXdcfp', 'latin1')]);

/** A statement's name and the types of 65,535 parameters, beside the text. */
const PARSE_MAX_LENGTH = STATEMENT_MAX_BYTES + 65_536 + 4 * 65_535;
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
  message: `Sluice: the statement is nested too deeply, or longer than ${STATEMENT_MAX_BYTES} bytes, to be read`,
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

/** Finds the end of the session among messages that wait. What is no message shows when they are read. */
class TerminateWatch {
  #head = Buffer.alloc(0);
  #skip = 0;

  /** From the beginning of a message on. */
  restart(): void {
    this.#head = Buffer.alloc(0);
    this.#skip = 0;
  }

  sees(bytes: Uint8Array): boolean {
    let at = 0;
    while (at < bytes.length) {
      const skipped = Math.min(this.#skip, bytes.length - at);
      this.#skip -= skipped;
      at += skipped;
      const part = bytes.subarray(at, at + HEADER_BYTES - this.#head.length);
      this.#head = Buffer.concat([this.#head, part]);
      at += part.length;
      if (this.#head[0] === TERMINATE) return true;
      if (this.#head.length < HEADER_BYTES) return false;
      this.#skip = Math.max(0, this.#head.readUInt32BE(1) - 4);
      this.#head = Buffer.alloc(0);
    }
    return false;
  }
}

/** What the agent sends. */
class ToServer extends MessageRewriter<Denial | null> {
  readonly #options: GateOptions;
  readonly #settings: Settings;
  readonly #denials: Denials;
  readonly #terminates = new TerminateWatch();

  constructor(options: GateOptions, settings: Settings, denials: Denials) {
    super('agent');
    this.#options = options;
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
    return 'pass';
  }

  protected override looksAt(type: number): boolean {
    return type !== COPY_DATA;
  }

  protected override whole(bytes: Buffer, at: number, end: number): Whole {
    const message = bytes.subarray(at, end);
    const text = this.#textOf(message);
    if (text === null) return this.#leftOut(QUERY, BY_NUMBER).instead();
    const denial = this.#judge(text);
    if (denial === null) return this.#rewritten(message, text);
    if (denial !== LATER) return this.#deny(message, denial);
    this.#terminates.restart();
    return LATER;
  }

  protected override decided(message: Buffer, answer: Denial | null): Buffer | null {
    if (answer !== null) return this.#deny(message, answer);
    const text = this.#textOf(message);
    if (text !== null && this.#settings.fits(text)) return this.#rewritten(message, text);
    // The server has said meanwhile that it reads otherwise than it did.
    this.#options.onRefused();
    return this.#deny(message, READ_OTHERWISE);
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
    return this.#denials.substitute(message[0] === PARSE ? PARSE : QUERY, denial);
  }

  #rewritten(message: Buffer, text: Buffer): Buffer | null {
    const { rewrite, onRefused } = this.#options;
    const made = message[0] === FUNCTION_CALL ? null : (rewrite?.(text) ?? null);
    if (made === null) return null;
    if (!Buffer.isBuffer(made)) {
      onRefused();
      return this.#deny(message, made);
    }
    const start = text.byteOffset - message.byteOffset;
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

  #leftOut(substitute: number, denial: Denial): LeftOut {
    return {
      instead: () => {
        this.#options.onRefused();
        return this.#denials.substitute(substitute, denial);
      },
    };
  }

  #judge(text: Buffer): Denial | null | typeof LATER {
    const { classify, judge, decide, onRefused } = this.#options;
    const refuse = (denial: Denial): Denial => {
      onRefused();
      return denial;
    };
    if (text.length > STATEMENT_MAX_BYTES) return refuse(TOO_COMPLEX);
    if (!this.#settings.fits(text)) return refuse(READ_OTHERWISE);
    const read = classify(text);
    if (read.kind === 'syntax-error') return refuse(syntaxError(read.message));
    if (read.kind === 'too-complex') return refuse(TOO_COMPLEX);
    let first: Denial | null = null;
    let holds = false;
    // Each is judged, so that each is counted: one that is denied takes the others with it.
    for (const operation of read.operations) {
      const verdict = judge(operation);
      if (verdict === 'hold') holds = true;
      else first ??= verdict;
    }
    if (first !== null) return first;
    if (read.changesReading) return refuse(CHANGES_READING);
    return holds ? decide(read.operations) : null;
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

/** What the server sends, start-up and authentication included. */
class ToAgent extends MessageRewriter {
  readonly #settings: Settings;
  readonly #denials: Denials;

  constructor(settings: Settings, denials: Denials) {
    super('server');
    this.#settings = settings;
    this.#denials = denials;
  }

  protected override looksAt(type: number): boolean {
    return type === ERROR_RESPONSE || type === PARAMETER_STATUS;
  }

  protected override plan(type: number, length: number): Plan {
    if (!this.looksAt(type)) return 'pass';
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

  constructor(options: GateOptions) {
    const settings = new Settings();
    const { denials = new Denials() } = options;
    this.toServer = new ToServer(options, settings, denials);
    this.toAgent = new ToAgent(settings, denials);
  }
}
