/**
 * What the parameters of a statement are, by the statement's name, as far as it is known when an agent gives values for them.
 *
 * What a name means to the server shows in its answers, and an agent need not wait for them. In the same batch (up to Sync) as its Parse a
 * name means what was just said: if that fails, so does what uses it. Else it may mean what was said last or what was known before.
 */
import type { RequestFacts } from './request-facts.ts';

/** What matters of a statement once it is prepared. */
export type PreparedFacts = Pick<RequestFacts, 'parameters' | 'relations'>;

export interface Prepared {
  /** Of the text. */
  readonly bytes: number;
  /** Of its parameters, as the agent or the server has said; 0: not said. */
  types: readonly number[];
  readonly facts: PreparedFacts | null;
}

interface Sent {
  readonly prepared: Prepared;
  readonly batch: number;
  readonly pause: number;
}

/** Those beyond are unknown. */
const NAMES_MAX = 4_096;
/** Of their texts: what is kept of one may have forty times its size. */
const TEXTS_MAX_BYTES = 1_048_576;

export class Statements {
  readonly #known = new Map<string, Prepared>();
  readonly #sent = new Map<string, Sent>();
  #sentBytes = 0;
  #knownBytes = 0;
  #batch = 0;
  #pause = 0;
  /** SQL, or code that the server runs, may have given a name another meaning. */
  #renamed = false;

  /** The agent has sent it. */
  sent(name: string, prepared: Prepared): void {
    this.#sentBytes += prepared.bytes;
    if (this.#sent.size >= NAMES_MAX || this.#sentBytes > TEXTS_MAX_BYTES) {
      this.#sent.clear();
      this.#sentBytes = prepared.bytes;
    }
    this.#sent.set(name, { prepared, batch: this.#batch, pause: this.#pause });
  }

  /** The agent has sent a Sync, or a Query, behind which everything is done again. */
  batchEnds(): void {
    this.#batch += 1;
  }

  renamed(): void {
    this.#renamed = true;
  }

  /** The server has taken it. @param name null: of a name too long to be kept */
  parsed(name: string | null, prepared: Prepared | null): void {
    this.#knownBytes += prepared?.bytes ?? 0;
    if (name === null || this.#known.size >= NAMES_MAX || this.#knownBytes > TEXTS_MAX_BYTES) {
      this.#known.clear();
      this.#knownBytes = prepared?.bytes ?? 0;
    }
    if (name === null) return;
    if (prepared === null) this.#known.delete(name);
    else this.#known.set(name, prepared);
  }

  /** The server has said what its parameters are. */
  described(name: string, types: readonly number[]): void {
    const prepared = this.#known.get(name);
    if (prepared !== undefined) prepared.types = types;
  }

  /** Everything has been answered. */
  pauses(): void {
    this.#pause += 1;
  }

  /** Whether the types of what a name may mean can be relied on. */
  get hasTypes(): boolean {
    return !this.#renamed;
  }

  /** What it may mean; none: nobody knows. */
  mayBe(name: string): readonly Prepared[] {
    const sent = this.#sent.get(name);
    if (sent?.batch === this.#batch) return [sent.prepared];
    const known = this.#known.get(name);
    const isOpen = sent !== undefined && sent.pause === this.#pause && sent.prepared !== known;
    return [known, isOpen ? sent.prepared : undefined].filter((each) => each !== undefined);
  }
}
