/**
 * Masks what people are shown of a statement they are asked about, by all masks there are for its flow, whichever direction they
 * are for: who approves need not see what neither agent nor server may.
 */
import { HEADER_BYTES } from '../../message.ts';
import { Parameters } from './parameters.ts';
import { factsOfRequest, StatementMasker } from './statement-masker.ts';
import { Statements } from './statements.ts';
import type { ValueMaskers } from './value-maskers.ts';

export class ShownMasks {
  readonly #maskers: ValueMaskers;
  readonly #statements: StatementMasker;

  constructor(maskers: ValueMaskers) {
    this.#maskers = maskers;
    this.#statements = new StatementMasker(maskers, ignore);
  }

  /** Null: something is to be masked in it that cannot be. */
  text(text: Buffer): Buffer | null {
    const masked = this.#statements.rewrite(text);
    if (masked === null) return text;
    return Buffer.isBuffer(masked) ? masked : null;
  }

  /** A whole Bind for that statement. @throws RangeError when it is none, or its values cannot be masked */
  bind(message: Buffer, text: Buffer, types: readonly number[]): Buffer {
    const statements = new Statements();
    const portalEnd = message.indexOf(0, HEADER_BYTES);
    const name = message.toString('latin1', portalEnd + 1, message.indexOf(0, portalEnd + 1));
    statements.sent(name, { types, facts: factsOfRequest(text), bytes: text.length });
    return new Parameters(this.#maskers, statements, ignore).bind(message) ?? message;
  }
}

function ignore(): void {
  // What is shown is not counted: nothing of it travels.
}
