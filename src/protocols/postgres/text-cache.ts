/**
 * Remembers what was read in texts: programs send the same ones over and over, and reading one again costs a hundred times a
 * look-up. By the whole text, so nothing can be taken for something else; or, where that does not change what was read, by the
 * text without its whole numbers.
 */
import { BoundedMap } from '../../core/bounded-map.ts';
import { shapeOf } from './text-shape.ts';

/** Longer ones are mostly lists of values and do not come again. */
const TEXT_MAX_BYTES = 2_048;
/** With texts of 2 KiB and what is remembered of each, about 16 MiB at the most. */
const ENTRIES_MAX = 4_096;

export interface Remembering<T> {
  /** What is to be remembered. */
  readonly read: (text: Buffer) => T;
  /** False where a text could not be read: that may be the moment's fault, not its own. */
  readonly lasts: (result: T) => boolean;
  /** Whether it would be the same with other numbers in the text, those that were equal still being so (text-shape.ts). */
  readonly isOfShape: (result: T) => boolean;
}

export function remembered<T>({ read, lasts, isOfShape }: Remembering<T>): (text: Buffer) => T {
  const known = new BoundedMap<string, { readonly result: T }>(ENTRIES_MAX);
  return (text) => {
    if (text.length > TEXT_MAX_BYTES) return read(text);
    const shape = shapeOf(text);
    const alike = shape === null ? undefined : known.get(shape);
    if (alike !== undefined) return alike.result;
    const key = text.toString('latin1');
    const before = known.get(key);
    if (before !== undefined) return before.result;
    const result = read(text);
    if (lasts(result)) known.set(shape !== null && isOfShape(result) ? shape : key, { result });
    return result;
  };
}
