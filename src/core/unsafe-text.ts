/**
 * Characters that a terminal may act on, or by which one line looks like another or like two: control characters (C0, DEL, C1), format
 * characters (direction of text, invisible ones), and line and paragraph separators, by Unicode category. What agents, servers and
 * workers have written is shown without them.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** @param by what stands for such a character */
export function replaceUnsafe(text: string, by: (character: string) => string): string {
  return text.replace(UNSAFE, by);
}

/** As part of one line of a log. */
export function plainLine(text: string): string {
  return replaceUnsafe(text, () => '?');
}
