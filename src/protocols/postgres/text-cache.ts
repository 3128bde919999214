/**
 * Remembers what was read in texts: programs send the same ones over and over, and reading one again costs a hundred times a
 * look-up. By the whole text, so nothing can be taken for something else.
 */
import { BoundedMap } from '../../core/bounded-map.ts';

/** Longer ones are mostly lists of values and do not come again. */
const TEXT_MAX_BYTES = 2_048;
/** With texts of 2 KiB and what is remembered of each, about 16 MiB at the most. */
const ENTRIES_MAX = 4_096;

/**
 * @param read what is to be remembered
 * @param lasts false where a text could not be read: that may be the moment's fault, not its own
 */
export function remembered<T>(read: (text: Buffer) => T, lasts: (result: T) => boolean): (text: Buffer) => T {
  const known = new BoundedMap<string, { readonly result: T }>(ENTRIES_MAX);
  return (text) => {
    if (text.length > TEXT_MAX_BYTES) return read(text);
    const key = text.toString('latin1');
    const before = known.get(key);
    if (before !== undefined) return before.result;
    const result = read(text);
    if (lasts(result)) known.set(key, { result });
    return result;
  };
}
