/**
 * A layer (../layer.ts) over one direction of PostgreSQL's messages (type, length, content): cuts them and lets its owner rewrite
 * them, whatever the chunks are.
 *
 * A chunk of which all passes is not copied. A message that is looked at as a whole is not copied either when a chunk holds all of it.
 * A message too long to be held is rewritten as it passes, and keeps its length, which has been said by then, or is left out.
 *
 * Where two look at the same direction, one is put before the other (`into`): messages are cut once, by the first, and what it makes
 * of one is what the second sees. Only the first may pause, and it rewrites no message that it does not hold.
 */
import { ByteQueue } from '../../core/byte-queue.ts';
import { type Fault, ProtocolError } from '../../core/protocol-error.ts';
import { together } from '../../core/room.ts';
import { LATER, Layer } from '../layer.ts';
import { HEADER_BYTES } from './message.ts';

/** Rewrites the content of one message; as many bytes must come out as went in. */
export interface LongMessage {
  push(part: Buffer): Uint8Array;
  end(): Uint8Array;
}

/** A message that is left out, header and all, however long it is. */
export interface LeftOut {
  /** Whole messages that stand in the place of what was there of it by now. */
  push?(part: Buffer): Uint8Array;
  /** What stands in its place; asked for at its end. */
  instead(): Uint8Array;
}

/** `whole`: handed to `whole()` when all of it is there. */
export type Plan = 'pass' | 'whole' | LongMessage | LeftOut;

export type Whole = Uint8Array | typeof LATER | null;

/** What was made of several messages at once. `instead` null: they pass as they are. */
export interface Run {
  /** Where they end. */
  readonly end: number;
  readonly instead: readonly Uint8Array[] | null;
}

export abstract class MessageRewriter<Answer = never> extends Layer<Answer> {
  /** It has the last word about its stream until the stream ends. */
  readonly done = false;
  readonly #fault: Fault;
  readonly #held = new ByteQueue();
  /** Length of the message that is held, with its type; 0 while its header is not whole. */
  #heldLength = 0;
  #passing = 0;
  #long: LongMessage | null = null;
  #longLeft = 0;
  #out: Uint8Array[] = [];
  /** Sees what this one has made of the messages. */
  #next: MessageRewriter | null = null;
  /** Cuts the messages for this one. */
  #first: { readonly atBoundary: boolean } | null = null;
  /** Whether it is `#next` that wants the present message whole. */
  #forNext = false;
  /** The message that waits for an answer. */
  #asked: Buffer = NOTHING;

  constructor(fault: Fault) {
    super();
    this.#fault = fault;
  }

  /** Once for each message, before anything of it has passed. @param length content and 4, as in the message */
  protected abstract plan(type: number, length: number): Plan;

  /** @returns what is sent for the message at [at, end) of the bytes; null: the message itself; LATER: it has asked */
  protected abstract whole(bytes: Buffer, at: number, end: number): Whole;

  /** Takes several whole messages that begin at `at`, without a `plan()` for each. Null, or an end of `at`: none. */
  protected run(_bytes: Buffer, _at: number): Run | null {
    return null;
  }

  /** Whether messages of this type are planned at all; where not, the next may take many at once. */
  protected looksAt(_type: number): boolean {
    return true;
  }

  /** What is sent for the message that was asked about; null: the message itself. LATER: it has asked again. */
  protected decided(_message: Buffer, _answer: Answer): Whole {
    return null;
  }

  /** Hands on what comes out of this one, message by message; it is this one alone that is pushed into from then on. */
  into(next: MessageRewriter): this {
    this.#next = next;
    next.#first = this;
    return this;
  }

  /** The next `bytes` are no messages and pass. */
  protected passRaw(bytes: number): void {
    this.#passing += bytes;
  }

  /** Whether a message of somebody else's may be put in after what has come out so far. */
  get atBoundary(): boolean {
    if (this.#first !== null) return this.#first.atBoundary;
    return this.#passing === 0 && this.#long === null && this.#held.length === 0;
  }

  /** What comes out may be a view of the chunk. */
  protected override take(chunk: Uint8Array): Uint8Array[] {
    return this.#take(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
  }

  /** What is wrong with lengths and counts is found by reading past an end. */
  protected override read(chunk: Uint8Array): Uint8Array[] {
    try {
      return super.read(chunk);
    } catch (error) {
      throw error instanceof RangeError ? this.refused(problemOf(error)) : error;
    }
  }

  protected override answered(answer: Answer): Uint8Array[] {
    const message = this.#asked;
    this.#asked = NOTHING;
    this.#out = [];
    const instead = this.#onward(message, 0, message.length, this.decided(message, answer));
    if (instead === LATER) this.#ask(message, NOTHING);
    else this.#give(instead ?? message);
    return this.#together();
  }

  #take(bytes: Buffer): Uint8Array[] {
    this.#out = [];
    /** Where the bytes begin that pass and have not been given out yet. */
    let run = 0;
    let at = 0;
    while (at < bytes.length) {
      if (this.#passing > 0) {
        const count = Math.min(this.#passing, bytes.length - at);
        this.#passing -= count;
        at += count;
        continue;
      }
      if (this.#long === null && this.#held.length === 0 && bytes.length - at >= HEADER_BYTES) {
        const many = this.#run(bytes, at);
        if (many !== null && many.end > at) {
          if (many.instead !== null) {
            this.#flush(bytes, run, at);
            for (const part of many.instead) this.#out.push(part);
            run = many.end;
          }
          at = many.end;
          continue;
        }
        const end = this.#begin(bytes, at);
        if (end === PASSES) {
          const count = Math.min(this.#passing, bytes.length - at);
          this.#passing -= count;
          at += count;
          continue;
        }
        if (end > 0 && end <= bytes.length) {
          const instead = this.#whole(bytes, at, end);
          if (instead === LATER) {
            this.#flush(bytes, run, at);
            this.#ask(Buffer.from(bytes.subarray(at, end)), bytes.subarray(end));
            return this.#together();
          }
          if (instead !== null) {
            this.#flush(bytes, run, at);
            this.#give(instead);
            run = end;
          }
          at = end;
          continue;
        }
        this.#flush(bytes, run, at);
        if (end > 0) {
          this.#held.append(bytes.subarray(at));
          this.#heldLength = end - at;
          return this.#together();
        }
        if (end === IS_LONG) this.#out.push(bytes.subarray(at, at + HEADER_BYTES));
        at += HEADER_BYTES;
        run = at;
        this.#endLong();
        continue;
      }
      this.#flush(bytes, run, at);
      at = this.#long === null ? this.#hold(bytes, at) : this.#pushLong(bytes, at);
      if (this.paused) return this.#together();
      run = at;
    }
    this.#flush(bytes, run, at);
    return this.#together();
  }

  /** Each part would be a write of its own, which costs more than to copy it. */
  #together(): Uint8Array[] {
    return this.#out.length > 1 ? [together(this.#out)] : this.#out;
  }

  #flush(bytes: Buffer, from: number, to: number): void {
    if (to > from) this.#out.push(bytes.subarray(from, to));
  }

  #give(part: Uint8Array): void {
    if (part.length > 0) this.#out.push(part);
  }

  #ask(message: Buffer, rest: Uint8Array): void {
    this.#asked = message;
    this.pause(rest);
  }

  #run(bytes: Buffer, at: number): Run | null {
    if (this.#next === null) return this.run(bytes, at);
    return this.looksAt(bytes[at] ?? 0) ? null : this.#next.run(bytes, at);
  }

  /** Asks what becomes of the message that begins here. Its end where it is wanted whole, or one of the three below. */
  #begin(bytes: Buffer, at: number): number {
    // Twice as fast as readUInt32BE(), once for each message.
    const high = ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    const length = high * 65_536 + (((bytes[at + 3] ?? 0) << 8) | (bytes[at + 4] ?? 0));
    // Both sides of the protocol read it as signed.
    if (length < 4 || length > 0x7fff_ffff) throw this.refused('a message of invalid length');
    const plan = this.#plan(bytes[at] ?? 0, length);
    if (plan === 'whole') return at + 1 + length;
    if (plan === 'pass') {
      this.#passing = 1 + length;
      return PASSES;
    }
    this.#longLeft = length - 4;
    if ('instead' in plan) {
      const look = this.#next !== null && !this.#forNext;
      const instead = (): Uint8Array => {
        const made = plan.instead();
        return look ? (onlyNow(this.#onward(NOTHING, 0, 0, made)) ?? made) : made;
      };
      this.#long = { push: (part) => plan.push?.(part) ?? NOTHING, end: instead };
      return IS_LEFT_OUT;
    }
    this.#long = plan;
    return IS_LONG;
  }

  #plan(type: number, length: number): Plan {
    const plan = this.plan(type, length);
    if (this.#next === null) return plan;
    this.#forNext = plan === 'pass';
    if (plan === 'pass') return this.#next.plan(type, length);
    const isSeen = plan === 'whole' || ('instead' in plan && plan.push === undefined);
    if (!isSeen) throw new Error('what the next has not seen would pass');
    return plan;
  }

  #whole(bytes: Buffer, at: number, end: number): Whole {
    if (this.#next === null) return this.whole(bytes, at, end);
    if (this.#forNext) return onlyNow(this.#next.whole(bytes, at, end));
    return this.#onward(bytes, at, end, this.whole(bytes, at, end));
  }

  /** What the next makes of what this one has made of a message, which is nothing or one message. */
  #onward(bytes: Buffer, at: number, end: number, made: Whole): Whole {
    const next = this.#next;
    if (next === null || made === LATER) return made;
    if (made === null) return next.#look(bytes, at, end);
    if (made.length === 0) return made;
    return next.#look(Buffer.from(made.buffer, made.byteOffset, made.length), 0, made.length) ?? made;
  }

  /** Looks at one message, all of which is there. */
  #look(bytes: Buffer, at: number, end: number): Uint8Array | null {
    const plan = this.plan(bytes[at] ?? 0, bytes.readUInt32BE(at + 1));
    if (plan === 'pass') return null;
    if (plan === 'whole') return onlyNow(this.whole(bytes, at, end));
    const content = plan.push?.(bytes.subarray(at + HEADER_BYTES, end)) ?? NOTHING;
    if ('instead' in plan) return Buffer.concat([content, plan.instead()]);
    return Buffer.concat([bytes.subarray(at, at + HEADER_BYTES), content, plan.end()]);
  }

  /** Takes bytes of a message of which not all is there; says where it stopped. */
  #hold(bytes: Buffer, at: number): number {
    const held = this.#held;
    const wanted = this.#heldLength === 0 ? HEADER_BYTES : this.#heldLength;
    const end = Math.min(bytes.length, at + wanted - held.length);
    held.append(bytes.subarray(at, end));
    if (held.length < wanted) return end;
    if (this.#heldLength === 0) {
      const whole = this.#begin(held.peek(), 0);
      if (whole > HEADER_BYTES) {
        this.#heldLength = whole;
        return end;
      }
      if (whole < 0) {
        this.#passing = Math.max(0, this.#passing - HEADER_BYTES);
        const header = held.take();
        if (whole !== IS_LEFT_OUT) this.#out.push(header);
        this.#endLong();
        return end;
      }
    }
    this.#heldLength = 0;
    const message = held.take();
    const instead = this.#whole(message, 0, message.length);
    if (instead === LATER) this.#ask(message, bytes.subarray(end));
    else this.#give(instead ?? message);
    return end;
  }

  #pushLong(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#longLeft);
    const out = this.#long?.push(bytes.subarray(at, end));
    if (out !== undefined && out.length > 0) this.#out.push(out);
    this.#longLeft -= end - at;
    this.#endLong();
    return end;
  }

  #endLong(): void {
    if (this.#long === null || this.#longLeft > 0) return;
    const out = this.#long.end();
    if (out.length > 0) this.#out.push(out);
    this.#long = null;
  }

  protected refused(problem: string): ProtocolError {
    const who = this.#fault === 'agent' ? 'client' : 'server';
    return new ProtocolError('postgres', this.#fault, `the PostgreSQL ${who} sent ${problem}`);
  }
}

/** Only what cuts the messages could keep one. */
function onlyNow(made: Whole): Uint8Array | null {
  if (made === LATER) throw new Error('a layer that is not the first has asked');
  return made;
}

function problemOf(error: RangeError): string {
  // What Node says of a number out of its range quotes it; ours say what is wrong.
  return 'code' in error ? 'a message of invalid content' : error.message;
}

const PASSES = -1;
const IS_LONG = -2;
const IS_LEFT_OUT = -3;
const NOTHING = Buffer.alloc(0);
