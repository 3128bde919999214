/**
 * Masks what an agent gives as values of parameters: in Bind, for a statement, and in FunctionCall, for a function.
 *
 * Values are masked by their types: those the agent or the server has said, or the statement says by a cast. A value of unknown type is
 * looked at as whatever it may be, and becomes NULL where something in it must be masked and it is no text.
 */
import type { ValueMasker } from '../../../../mask/masker.ts';
import { HEADER_BYTES } from '../../message.ts';
import type { LongMessage } from '../../message-rewriter.ts';
import { type Cell, cellOf, type OnHits } from '../cell.ts';
import { field, Pull, type Steps } from '../pull.ts';
import { typeOfText } from './statement-masker.ts';
import type { Prepared, Statements } from './statements.ts';
import type { ValueMaskers } from './value-maskers.ts';

/** lowrite(): its second argument is bytea. */
const LO_WRITE = 955;
const BYTEA = 17;
const NULL_LENGTH = -1;
const NAME_MAX_BYTES = 8_192;

export class Parameters {
  readonly #maskers: ValueMaskers;
  readonly #statements: Statements;
  readonly #onHits: OnHits;

  constructor(maskers: ValueMaskers, statements: Statements, onHits: OnHits) {
    this.#maskers = maskers;
    this.#statements = statements;
    this.#onHits = onHits;
  }

  /** A whole Bind; null: as it is. @throws RangeError when it is none */
  bind(message: Buffer): Buffer | null {
    const portalEnd = endOf(message, HEADER_BYTES);
    const statementEnd = endOf(message, portalEnd + 1);
    const plan = this.#planOf(message.toString('latin1', portalEnd + 1, statementEnd));
    const formats = formatsAt(message, statementEnd + 1);
    return this.#values(message, formats, plan, formatsAt);
  }

  /** A whole FunctionCall; null: as it is. @throws RangeError when it is none */
  call(message: Buffer): Buffer | null {
    const functionOid = message.readUInt32BE(HEADER_BYTES);
    const formats = formatsAt(message, HEADER_BYTES + 4);
    const plan: Plan = (index) => ({
      typeOid: functionOid === LO_WRITE && index === 1 ? BYTEA : 0,
      // For what the function is does not show.
      masker: this.#maskers.forAll,
    });
    return this.#values(message, formats, plan, (_, at) => ({ formats: [], end: at + 2 }));
  }

  /** A Bind too long to be held, which keeps its length. */
  long(): LongMessage {
    const pull = new Pull(this.#steps());
    return {
      push: (part) => pull.push(part),
      end: () => {
        if (!pull.finished) throw new RangeError('parameters unlike their count');
        return Buffer.alloc(0);
      },
    };
  }

  *#steps(): Steps {
    yield* name();
    const plan = this.#planOf(yield* name());
    const formats = yield* codes();
    const count = (yield 2).readUInt16BE(0);
    for (let index = 0; index < count; index += 1) {
      const length = (yield 4).readInt32BE(0);
      if (length > 0) yield* field(this.#cell(plan, index, formatOf(formats, index), null), length);
    }
    yield* codes();
  }

  #values(
    message: Buffer,
    { formats, end: start }: Formats,
    plan: Plan,
    tail: (message: Buffer, at: number) => Formats,
  ): Buffer | null {
    const count = message.readUInt16BE(start);
    const out: Uint8Array[] = [];
    let written = 0;
    let at = start + 2;
    for (let index = 0; index < count; index += 1) {
      const length = message.readInt32BE(at);
      at += 4;
      if (length === NULL_LENGTH) continue;
      if (length < 0 || at + length > message.length) throw new RangeError('parameters unlike their count');
      const value = message.subarray(at, at + length);
      const masked = this.#cell(plan, index, formatOf(formats, index), value)?.whole(value);
      at += length;
      if (masked === undefined) continue;
      const size = Buffer.alloc(4);
      size.writeInt32BE(masked === null ? NULL_LENGTH : masked.length);
      out.push(message.subarray(written, at - length - 4), size, masked ?? NOTHING);
      written = at;
    }
    if (tail(message, at).end !== message.length) throw new RangeError('parameters unlike their count');
    if (out.length === 0) return null;
    const whole = Buffer.concat([...out, message.subarray(written)]);
    whole.writeUInt32BE(whole.length - 1, 1);
    return whole;
  }

  /** @param value null: too long to be there */
  #cell(plan: Plan, index: number, format: number, value: Buffer | null): Cell | null {
    const { typeOid, masker } = plan(index);
    const own = format === 0 && value !== null ? typeOfText(typeOid, value) : typeOid;
    return cellOf({ typeOid: own, format, masker, onHits: this.#onHits, numbersAreTexts: format === 0 });
  }

  #planOf(statement: string): Plan {
    const prepared = this.#statements.mayBe(statement);
    const { hasTypes } = this.#statements;
    return (index) => ({
      typeOid: hasTypes ? typeOf(prepared, index) : 0,
      masker: this.#maskerOf(prepared, index),
    });
  }

  /** Of a statement that nobody knows, any parameter may be for any column. */
  #maskerOf(prepared: readonly Prepared[], index: number): ValueMasker {
    const all = prepared.length === 0 ? [null] : prepared.map(({ facts }) => facts);
    for (const facts of all) {
      const value = facts === null ? null : (facts.parameters.get(index + 1) ?? NO_COLUMNS);
      const masker = this.#maskers.ofColumns(value, facts ?? undefined);
      if (masker !== null) return masker;
    }
    return this.#maskers.forAll;
  }
}

type Plan = (index: number) => { readonly typeOid: number; readonly masker: ValueMasker };

interface Formats {
  readonly formats: readonly number[];
  /** Where they end. */
  readonly end: number;
}

const NOTHING = Buffer.alloc(0);
const NO_COLUMNS = { columns: new Set<string>() };

/** What all it may mean say; 0 where they differ. */
function typeOf(prepared: readonly Prepared[], index: number): number {
  const types = new Set(
    prepared.map(({ types, facts }) => types[index] || (facts?.parameters.get(index + 1)?.typeOid ?? 0)),
  );
  const [only = 0] = types;
  return types.size === 1 ? only : 0;
}

function formatsAt(message: Buffer, at: number): Formats {
  const count = message.readUInt16BE(at);
  const formats: number[] = [];
  for (let index = 0; index < count; index += 1) formats.push(message.readUInt16BE(at + 2 + 2 * index));
  return { formats, end: at + 2 + 2 * count };
}

/** None: all are text. One: it is that of all. */
function formatOf(formats: readonly number[], index: number): number {
  const format = formats.length === 1 ? formats[0] : formats[index];
  if (format !== undefined && format > 1) throw new RangeError('a parameter of unknown format');
  return format ?? 0;
}

function endOf(message: Buffer, at: number): number {
  const end = message.indexOf(0, at);
  if (end === -1) throw new RangeError('a text without end');
  return end;
}

function* name(): Generator<number, string, Buffer> {
  let text = '';
  for (let byte = yield 1; byte[0] !== 0; byte = yield 1) {
    text += byte.toString('latin1');
    if (text.length > NAME_MAX_BYTES) throw new RangeError('a name that is too long');
  }
  return text;
}

function* codes(): Generator<number, readonly number[], Buffer> {
  const count = (yield 2).readUInt16BE(0);
  const codes: number[] = [];
  for (let index = 0; index < count; index += 1) codes.push((yield 2).readUInt16BE(0));
  return codes;
}
