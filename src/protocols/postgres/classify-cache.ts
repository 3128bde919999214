/**
 * Remembers what texts mean: programs send the same ones over and over, and reading one again costs a hundred times a
 * look-up. By the whole text, so nothing can be taken for something else.
 */
import { BoundedMap } from '../../core/bounded-map.ts';
import { type Classified, classify } from './classify.ts';

/** Longer ones are mostly lists of values and do not come again. */
const TEXT_MAX_BYTES = 2_048;
/** With texts of 2 KiB and what is remembered of each, about 16 MiB at the most. */
const ENTRIES_MAX = 4_096;

export class ClassifyCache {
  readonly #known = new BoundedMap<string, Classified>(ENTRIES_MAX);

  /** As classify(). */
  readonly classify = (text: Buffer): Classified => {
    if (text.length > TEXT_MAX_BYTES) return classify(text);
    const key = text.toString('latin1');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const read = classify(text);
    // That a text could not be read may be the moment's fault, not its own.
    if (read.kind !== 'too-complex') this.#known.set(key, read);
    return read;
  };
}
