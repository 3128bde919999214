/**
 * JSON that means the same to a parser and nothing to a terminal: logs are read by `tail` and `journalctl` too, and host names, paths
 * and details in them are those of agents and servers.
 */

/** Control characters, format characters (direction of text, invisible ones), line and paragraph separators, by Unicode category. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** One line of JSON as `JSON.stringify` writes it, with every such character as `\\uNNNN`. */
export function escapedJson(json: string): string {
  return json.replace(UNSAFE, (character) => {
    // By UTF-16 unit, as JSON has it: a character beyond the first plane is two.
    const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
  });
}
