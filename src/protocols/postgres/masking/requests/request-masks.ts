/**
 * Masks what an agent sends, message by message: values of parameters, arguments of functions, data of COPY. What stands in statements
 * has been masked before (statement-masker.ts), at the gate.
 *
 * What cannot be masked is denied as a statement is, by a substitute the server takes for an error; COPY by a CopyFail, after which the
 * server ignores the rest of the data. So the session goes on.
 */
import { room, together } from '../../../../core/room.ts';
import type { Denial, Denials } from '../../denials.ts';
import { CALL_MAX_LENGTH } from '../../large-objects.ts';
import { HEADER_BYTES, message } from '../../message.ts';
import type { LeftOut, LongMessage, Plan, Run } from '../../message-rewriter.ts';
import type { OnHits } from '../cell.ts';
import type { CopyShape } from '../copy-shape.ts';
import { type CopyIn, copyIn } from './copy-in.ts';
import { Parameters } from './parameters.ts';
import { factsOfRequest } from './statement-masker.ts';
import { type Prepared, Statements } from './statements.ts';
import type { ValueMaskers } from './value-maskers.ts';

const QUERY = 0x51; // 'Q'
const PARSE = 0x50; // 'P'
const COPY_DATA = 0x64; // 'd'
const COPY_FAIL = 0x66; // 'f'
/** Longer ones are masked as they pass. */
const BIND_HELD_MAX_LENGTH = 1_048_576;
const FAIL_MAX_LENGTH = 65_536;
const NOTHING = Buffer.alloc(0);

const CALL_TOO_LONG: Denial = {
  sqlState: '54000',
  message: `Sluice: the arguments of a function called by number are longer than ${CALL_MAX_LENGTH} bytes`,
  hint: 'Give them in parts. What cannot be read is not passed on where policy has masks for requests.',
};

const CANNOT_MASK: Denial = {
  sqlState: '42501',
  message: 'Sluice: a value that is to be masked cannot be',
  hint: 'It is malformed, or of a format that is not known.',
};

/** Data the server does not look at: it has refused the COPY, or Sluice has. */
const IGNORED: CopyIn = { push: () => NOTHING, end: () => NOTHING };

export class RequestMasks {
  readonly #maskers: ValueMaskers;
  readonly #denials: Denials;
  readonly #onHits: OnHits;
  readonly #onDenied: () => void;
  readonly #statements = new Statements();
  readonly #parameters: Parameters;
  #copy: CopyIn | null = null;
  /** Whether data of the last query came before the server asked for it, and all of it. */
  #early: 'no' | 'comes' | 'came' = 'no';

  /** @param onDenied told of each message that was denied, and each COPY that was failed */
  constructor(maskers: ValueMaskers, denials: Denials, onHits: OnHits, onDenied: () => void) {
    this.#maskers = maskers;
    this.#denials = denials;
    this.#onHits = onHits;
    this.#onDenied = onDenied;
    this.#parameters = new Parameters(maskers, this.#statements, onHits);
  }

  // What the agent asks.

  queried(text: Buffer): void {
    this.#statements.batchEnds();
    if (factsOfRequest(text)?.renames !== false) this.#statements.renamed();
    if (this.#copy === IGNORED) this.#copy = null;
    this.#early = 'no';
  }

  /** @param types of its parameters, as the agent says */
  prepared(name: string, text: Buffer, types: readonly number[]): Prepared {
    const facts = factsOfRequest(text);
    if (facts?.renames !== false) this.#statements.renamed();
    // The tree of a long text has two hundred times its size.
    const kept = facts === null ? null : { parameters: facts.parameters, relations: facts.relations };
    const prepared = { bytes: text.length, types, facts: kept };
    this.#statements.sent(name, prepared);
    return prepared;
  }

  synced(): void {
    this.#statements.batchEnds();
  }

  planBind(length: number): 'whole' | LongMessage {
    return length <= BIND_HELD_MAX_LENGTH ? 'whole' : this.#parameters.long();
  }

  /** What is sent for a Bind; null: itself. */
  bind(message: Buffer): Buffer | null {
    return this.#orDenied(PARSE, () => this.#parameters.bind(message));
  }

  callTooLong(): LeftOut {
    return { instead: () => this.#deny(QUERY, CALL_TOO_LONG) };
  }

  call(message: Buffer): Buffer | null {
    return this.#orDenied(QUERY, () => this.#parameters.call(message));
  }

  #orDenied(type: number, mask: () => Buffer | null): Buffer | null {
    try {
      return mask();
    } catch (error) {
      if (error instanceof RangeError) return this.#deny(type, CANNOT_MASK);
      throw error;
    }
  }

  #deny(type: number, denial: Denial): Buffer {
    this.#onDenied();
    return this.#denials.substitute(type, denial);
  }

  /**
   * @param asked COPYs of the only question that is not answered yet; null: there is another, or none that could be one.
   * @returns null: nobody knows what the data is for
   */
  planData(isIdle: boolean, asked: readonly CopyShape[] | null): LeftOut | null {
    if (this.#copy === null) {
      // Outside of a COPY the server ignores data.
      if (isIdle || this.#early === 'came') return { instead: () => NOTHING };
      const [shape, another] = (asked ?? []).filter(({ isFrom }) => isFrom);
      if (shape === undefined || another !== undefined) return null;
      this.#copy = copyIn(shape, this.#maskers, this.#onHits);
      this.#early = 'comes';
    }
    return {
      push: (part) => framed(this.#fed((copy) => copy.push(part))),
      instead: () => NOTHING,
    };
  }

  /** Data of a COPY that has begun, as many messages as are whole, at once: it is much faster than one by one. Null: none. */
  data(bytes: Buffer, at: number): Run | null {
    if (this.#copy === null) return null;
    const content = room(bytes.length - at);
    let length = 0;
    let here = at;
    while (bytes.length - here >= HEADER_BYTES && bytes[here] === COPY_DATA) {
      const end = here + 1 + bytes.readUInt32BE(here + 1);
      // Of a length that there is not it is no data.
      if (end > bytes.length || end < here + HEADER_BYTES) break;
      length += bytes.copy(content, length, here + HEADER_BYTES, end);
      here = end;
    }
    if (length === 0) return null;
    return { end: here, instead: [framed(this.#fed((copy) => copy.push(content.subarray(0, length))))] };
  }

  /** Before the message that ends the data. */
  dataEnds(message: Buffer): Buffer | null {
    const rest = framed(this.#fed((copy) => copy.end()));
    this.#noMore();
    return rest.length === 0 ? null : Buffer.concat([rest, message]);
  }

  /** CopyFail, and what the agent says about it. */
  planFail(length: number): Plan {
    this.#noMore();
    return length <= FAIL_MAX_LENGTH ? 'whole' : { instead: () => copyFail(NOTHING) };
  }

  fail(message: Buffer): Buffer | null {
    const text = message.subarray(HEADER_BYTES, message.length - 1);
    const masked = this.#maskers.forAll.value(text);
    if (masked === null) return null;
    this.#onHits(masked.hits);
    return masked.bytes === text ? null : copyFail(masked.bytes ?? NOTHING);
  }

  #noMore(): void {
    this.#copy = null;
    if (this.#early === 'comes') this.#early = 'came';
  }

  #fed(feed: (copy: CopyIn) => Uint8Array): Uint8Array | 'failed' {
    if (this.#copy === null) return NOTHING;
    try {
      return feed(this.#copy);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#copy = IGNORED;
      this.#onDenied();
      return 'failed';
    }
  }

  // What the server answers.

  parsed(name: string | null, prepared: Prepared | null): void {
    this.#statements.parsed(name, prepared);
  }

  /** @param message ParameterDescription */
  described(name: string, message: Buffer): void {
    const count = message.readUInt16BE(HEADER_BYTES);
    const types = Array.from({ length: count }, (_, index) =>
      message.readUInt32BE(HEADER_BYTES + 2 + 4 * index),
    );
    this.#statements.described(name, types);
  }

  /** The server reads data now. @param shape null: of what form is not known. @throws RangeError */
  copyBegins(isBinary: boolean, shape: CopyShape | null): void {
    if (this.#early !== 'no') return;
    if (shape === null && !isBinary) throw new RangeError('a COPY whose statement was not understood');
    this.#copy = copyIn(shape ?? ANY_BINARY, this.#maskers, this.#onHits);
  }

  /** What was asked last has failed, be it a COPY. */
  failed(): void {
    if (this.#copy !== null) this.#copy = IGNORED;
  }

  pauses(): void {
    this.#statements.pauses();
  }
}

const ANY_BINARY: CopyShape = {
  isFrom: true,
  format: 'binary',
  delimiter: '\t',
  quote: '"',
  escape: '"',
  nullText: '',
  nullIsText: false,
  header: false,
  table: null,
  columns: null,
  query: null,
};

function framed(content: Uint8Array | 'failed'): Uint8Array {
  if (content === 'failed') return copyFail(Buffer.from(CANNOT_MASK.message, 'latin1'));
  if (content.length === 0) return NOTHING;
  const head = message(COPY_DATA);
  head.writeUInt32BE(4 + content.length, 1);
  return together([head, content]);
}

function copyFail(text: Uint8Array): Buffer {
  return message(COPY_FAIL, text, Buffer.alloc(1));
}
