/**
 * Tells ranges and multiranges by how they are written (PostgreSQL documentation, "Range Types"), where no type says so: as
 * JSON, arrays or composites, which they resemble, they would come out as something that cannot be read.
 */

const BOUND = /(?:"(?:[^"\\]|\\.|"")*"|[^"\\,()[\]{}\s]*)/.source;
/** One of `[` and `)`, or of `(` and `]`: nothing else is written so. */
const HALF_OPEN = new RegExp(`^(?:\\[${BOUND},${BOUND}\\)|\\(${BOUND},${BOUND}\\])$`, 's');
/** With blanks, or of other things than two numbers, it would be JSON. */
const NUMBER = /(?:-?\d+(?:\.\d+)?)?/.source;
const OF_NUMBERS = new RegExp(`^\\[${NUMBER},${NUMBER}\\]$`);
const MULTIRANGE = new RegExp(`^\\{[[(]${BOUND},${BOUND}[\\])](?:,[[(]${BOUND},${BOUND}[\\])])*\\}$`, 's');

/** @param text a character a byte */
export function isRangeText(text: string): boolean {
  return HALF_OPEN.test(text) || OF_NUMBERS.test(text) || MULTIRANGE.test(text);
}
