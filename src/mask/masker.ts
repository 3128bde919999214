/**
 * What masking is for those who read protocols: values go in, masked values come out. How values are found in a protocol,
 * and what a masked one looks like in a binary format, is the protocol's business.
 *
 * Rules: nothing here keeps, logs or throws what a value holds; a hit says which rule and detector found something and
 * never what.
 */
import type { CompiledMaskAction } from '../policy/types.ts';

/** Longer values are not held, but masked as a stream. */
export const VALUE_MAX_BYTES = 256 * 1024;

export interface MaskHit {
  /** Of the policy's list `masks`. */
  readonly rule: string;
  /** Null: the value was masked for its column or type, whatever it holds. */
  readonly detector: string | null;
  /** The rule only observes: nothing was changed for it. */
  readonly observed: boolean;
  /** How often. */
  readonly count: number;
}

export interface MaskedValue {
  /** Null: there is no value any more (SQL NULL, a field left out). The bytes that were given where nothing was changed. */
  readonly bytes: Uint8Array | null;
  /** At least one. */
  readonly hits: readonly MaskHit[];
}

/** As policy has it, for protocols, which do not know policy. */
export type MaskAction = CompiledMaskAction;

/** Masks the values of one column, or of whatever has none. */
export interface ValueMasker {
  /** Set where every value is masked whole, so that nobody needs to look into it; what was done to it by this action. */
  readonly whole: MaskAction | null;
  /**
   * One whole value, of any length; those beyond VALUE_MAX_BYTES are better given to `stream()`. Null: nothing in it is to
   * be masked or was observed.
   */
  value(bytes: Uint8Array): MaskedValue | null;
  /** A value too long to be held. What comes out is as long as what went in, whatever the action: `*` where it is not its own. */
  stream(): MaskStream;
  /** Keyed digest (32 bytes) of a whole value, for formats that are no text. Only where `whole` is a `hash`. */
  digest(bytes: Uint8Array): Uint8Array;
}

/** The same bytes give the same output, however they are cut into chunks. */
export interface MaskStream {
  /** What is certain by now; the rest is held back: at most HELD_MAX_BYTES. */
  push(chunk: Uint8Array): Uint8Array;
  /** The rest. Nothing may follow. */
  end(): Uint8Array;
  /** So far. */
  readonly hits: readonly MaskHit[];
}

/** Whose values these are. Null: not known, and then whatever a rule names may be meant. */
export interface ColumnFacts {
  readonly schema: string | null;
  readonly table: string | null;
  readonly column: string | null;
  /** The server's own name of the type: `text`, `int4`, `_varchar`. */
  readonly type: string | null;
}

export interface MaskedCell extends MaskedValue {
  /** Which of the cells that were given. */
  readonly cell: number;
}

/** The masks of one flow in one direction. As a ValueMasker: for what belongs to no column (messages, literals, parameters). */
export interface Masker extends ValueMasker {
  /** To be asked once for each column of a result, not for each value. Null: nothing is to be done with its values. */
  column(facts: ColumnFacts): ValueMasker | null;
  /**
   * Many values at once, which is much faster than one by one.
   * @param cells three numbers each: start and end in `bytes`, and an index into `columns`. In any order; they may not overlap
   * @returns those that are changed or were observed, in the order of `cells`
   */
  cells(
    bytes: Uint8Array,
    cells: Uint32Array,
    count: number,
    columns: readonly (ValueMasker | null)[],
  ): readonly MaskedCell[];
}
