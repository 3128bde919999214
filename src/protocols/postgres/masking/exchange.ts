/**
 * What a session's server still has to answer, in the order in which it was asked.
 *
 * The server works through messages one by one and answers each in its own way (protocol documentation, "Message Flow").
 * Names of statements and portals mean what they mean when the server gets there, not when the agent wrote them, so they
 * are resolved as the answers come.
 */
import { ProtocolError } from '../../../core/protocol-error.ts';
import type { Prepared } from './requests/statements.ts';
import type { StatementFacts } from './touch.ts';

export type Expected =
  /** `bytes` of the text, here and below. */
  | { readonly kind: 'query'; readonly facts: StatementFacts | null; readonly bytes: number }
  | {
      readonly kind: 'parse';
      readonly name: string | null;
      readonly facts: StatementFacts | null;
      readonly bytes: number;
      /** Null where nothing is masked in requests. */
      readonly prepared: Prepared | null;
    }
  | { readonly kind: 'bind'; portal: string | null; statement: string | null }
  | { readonly kind: 'describe-statement'; readonly name: string }
  /** `ours`: the agent has not asked and does not get the answer. */
  | { readonly kind: 'describe-portal'; readonly portal: string; readonly ours: boolean }
  | { readonly kind: 'execute'; readonly portal: string }
  | { readonly kind: 'close' }
  | { readonly kind: 'sync' }
  /** `format` null: it is not known. */
  | { readonly kind: 'call'; readonly functionOid: number; readonly format: number | null }
  /** Several messages of ours, with one ReadyForQuery in the end. */
  | { readonly kind: 'look-up' }
  /** No question: the agent has ended the data of a COPY. */
  | { readonly kind: 'copy-end' };

/** Each is a message of five bytes at least; a server that has not read so many does not take more. */
const EXPECTED_MAX = 1 << 18;
/** Of texts that are not answered: a server answers thousands at once, and what is kept of each may have forty times its size. */
const TEXTS_MAX_BYTES = 16_777_216;

export class Exchange {
  #queue: Expected[] = [];
  #first = 0;
  /** Of the texts in it. */
  #bytes = 0;
  /** After an error the server reads nothing until Sync. */
  #skipping = false;
  #inCopyFrom = false;

  get isIdle(): boolean {
    return this.head === null && !this.#skipping;
  }

  push(expected: Expected): void {
    if (this.#skipping) {
      if (expected.kind !== 'sync') return;
      this.#skipping = false;
    }
    if (this.#inCopyFrom && expected.kind !== 'copy-end' && !this.#hasCopyEnd()) {
      // While it reads the data of a COPY the server takes no notice of Sync, and loses any other question.
      if (expected.kind === 'sync') return;
      throw amongData();
    }
    this.#bytes += bytesOf(expected);
    if (this.#queue.length - this.#first >= EXPECTED_MAX || this.#bytes > TEXTS_MAX_BYTES)
      throw new ProtocolError(
        'postgres',
        'agent',
        'the PostgreSQL client sent too much without reading answers',
      );
    this.#queue.push(expected);
  }

  /** What the server answers now. */
  get head(): Expected | null {
    let head = this.#queue[this.#first];
    // Outside of a COPY its end means nothing.
    while (head?.kind === 'copy-end') {
      this.#shift();
      head = this.#queue[this.#first];
    }
    return head ?? null;
  }

  /** The only question that has not been answered; null: there is another, or none. */
  get only(): Expected | null {
    const { head } = this;
    return this.#queue.length - this.#first === 1 ? head : null;
  }

  /** The head has been answered. */
  pop(): void {
    this.#inCopyFrom = false;
    this.#shift();
  }

  #shift(): void {
    this.#bytes -= bytesOf(this.#queue[this.#first]);
    // What was known of it goes at once.
    if (this.#first < this.#queue.length) this.#queue[this.#first] = ANSWERED;
    this.#first += 1;
    if (this.#first < 1_024 || this.#first * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#first);
    this.#first = 0;
  }

  /** The head was answered by an error. */
  failed(): void {
    this.#inCopyFrom = false;
    const kind = this.head?.kind;
    if (kind === undefined || kind === 'query' || kind === 'call' || kind === 'look-up') return;
    while (this.head !== null && this.head.kind !== 'sync') this.#shift();
    this.#skipping = this.head === null;
  }

  /** The head is a COPY that wants data. What was sent as Sync up to the end of the data is not answered. */
  copyFromBegins(): void {
    this.#inCopyFrom = true;
    const queue = this.#queue.slice(this.#first);
    const end = queue.findIndex(({ kind }) => kind === 'copy-end');
    const stop = end === -1 ? queue.length : end;
    const before = queue.slice(1, stop);
    if (before.some(({ kind }) => kind !== 'sync')) throw amongData();
    this.#queue = [...queue.slice(0, 1), ...queue.slice(stop)];
    this.#first = 0;
  }

  /** The COPY is over, and the head may go on with another. */
  copyFromEnds(): void {
    if (!this.#inCopyFrom) return;
    this.#inCopyFrom = false;
    const end = this.#queue.findIndex(({ kind }, index) => index > this.#first && kind === 'copy-end');
    if (end !== -1) this.#queue.splice(end, 1);
  }

  #hasCopyEnd(): boolean {
    for (let at = this.#first; at < this.#queue.length; at += 1)
      if (this.#queue[at]?.kind === 'copy-end') return true;
    return false;
  }
}

/** In the place of what has been answered, until the queue is cut. */
const ANSWERED: Expected = { kind: 'copy-end' };

function bytesOf(expected: Expected | undefined): number {
  return expected?.kind === 'query' || expected?.kind === 'parse' ? expected.bytes : 0;
}

/** Questions that are lost would leave the answers to later ones to be taken for theirs. */
function amongData(): ProtocolError {
  return new ProtocolError(
    'postgres',
    'agent',
    'the PostgreSQL client sent a question among the data of a COPY',
  );
}
