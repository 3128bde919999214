/**
 * Which prepared statements of a session need approval whenever they are executed, by the names the agent gives them.
 *
 * What a name means to the server shows in its answers, and an agent need not wait for them. Rules, which err on the side of asking:
 *
 * - In the batch (up to Sync) in which it was said what a name means, it means that: if it failed, so does what uses it. Not so behind a
 *   COPY that reads from the agent, whose server takes what comes for data.
 * - Else it may mean what was said last, or anything before.
 * - When the server has answered every batch, and none with an error, what was said last is what holds. Batches are counted: one the
 *   server leaves out (it skips to Sync, it reads a COPY) is waited for in vain, and then nothing is ever certain again.
 * - Servers cut names at 63 bytes, and read them in the encoding of the session. So one that needs approval has a name of at most
 *   that many characters of ASCII, and others are looked up by their first 63.
 *
 * Only what needs approval is remembered.
 */
import { isAscii } from 'node:buffer';
import type { Operation } from '../../flow/operation.ts';

export interface HeldStatement {
  readonly text: Buffer;
  readonly operations: readonly Operation[];
  /** Of its parameters, as the agent says; 0: it does not. */
  readonly types: readonly number[];
}

/** `unclear`: it may be any of several. Null: it needs no approval. */
export type Meaning = HeldStatement | 'unclear' | null;

interface Entry {
  last: HeldStatement | null;
  /** The batch in which that was said; never the present one where it may not have been heard. */
  batch: number;
  /** What it may mean instead. */
  before: Meaning;
  /** Which of them shows no more: something has failed, maybe that. */
  isOpen: boolean;
}

/** NAMEDATALEN less its final zero. */
const NAME_MAX_BYTES = 63;
/** Of a session. */
const NAMES_MAX = 128;
const TEXTS_MAX_BYTES = 262_144;

export class HeldStatements {
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  #batch = 0;
  /** Answers that have not come yet; the first is about the start-up. */
  #awaited = 1;
  #failed = false;
  #copying = false;

  /** Whether there are any. */
  get any(): boolean {
    return this.#entries.size > 0;
  }

  /** A statement of that name is prepared. False: it is none that can be remembered. */
  prepared(name: Buffer, held: HeldStatement | null): boolean {
    if (held !== null && (name.length > NAME_MAX_BYTES || !isAscii(name))) return false;
    const key = keyOf(name);
    const known = this.#entries.get(key);
    if (held === null) {
      // Where names are longer than here it may be another.
      if (known !== undefined && name.length <= NAME_MAX_BYTES) this.#set(key, known, null);
      return true;
    }
    if (this.#bytes + held.text.length > TEXTS_MAX_BYTES) return false;
    if (known === undefined && this.#entries.size >= NAMES_MAX) return false;
    this.#set(key, known, held);
    return true;
  }

  meaning(name: Buffer): Meaning {
    if (!this.any) return null;
    if (!isAscii(name)) return 'unclear';
    const entry = this.#entries.get(keyOf(name));
    return entry === undefined ? null : this.#meaningOf(entry);
  }

  /** The agent has sent what ends a batch. */
  batchEnds(): void {
    this.#batch += 1;
    this.#awaited += 1;
  }

  /** Somebody else has asked the server something, and is answered as for a batch. */
  askedBeside(): void {
    this.#awaited += 1;
  }

  /** The agent has sent a query in which the server may read data of a COPY. */
  copies(): void {
    this.#copying = true;
  }

  /** The server has said that something has failed. */
  failed(): void {
    this.#failed = true;
  }

  /** The server has answered a batch, or the start-up. */
  answered(): void {
    this.#awaited = Math.max(0, this.#awaited - 1);
    if (this.#awaited > 0) return;
    this.#settle(this.#failed);
    this.#failed = false;
    this.#copying = false;
  }

  #settle(failed: boolean): void {
    for (const [key, entry] of this.#entries) {
      if (entry.batch === this.#batch) continue;
      entry.isOpen ||= failed;
      if (entry.isOpen) continue;
      entry.before = null;
      if (entry.last === null) this.#entries.delete(key);
    }
    this.#bytes = 0;
    for (const { last, before } of this.#entries.values())
      this.#bytes += (last?.text.length ?? 0) + (isOne(before) ? before.text.length : 0);
  }

  #set(key: string, known: Entry | undefined, last: HeldStatement | null): void {
    const before = known === undefined ? null : either(known.before, known.last);
    this.#entries.set(key, { last, batch: this.#copying ? NEVER : this.#batch, before, isOpen: false });
    this.#bytes += last?.text.length ?? 0;
  }

  #meaningOf({ last, batch, before }: Entry): Meaning {
    return batch === this.#batch ? last : either(before, last);
  }
}

const NEVER = -1;

function isOne(meaning: Meaning): meaning is HeldStatement {
  return meaning !== null && meaning !== 'unclear';
}

function either(one: Meaning, other: HeldStatement | null): Meaning {
  if (other === null || one === 'unclear') return one;
  return one === null || isSame(one, other) ? other : 'unclear';
}

/** What is asked about would be the same. */
function isSame(one: HeldStatement, other: HeldStatement): boolean {
  return one.text.equals(other.text) && String(one.types) === String(other.types);
}

function keyOf(name: Buffer): string {
  return name.toString('latin1', 0, NAME_MAX_BYTES);
}
