/**
 * JSON that means the same to a parser and nothing to a terminal: logs are read by `tail` and `journalctl` too, and host names, paths
 * and details in them are those of agents and servers.
 */

import { replaceUnsafe } from './unsafe-text.ts';

/** One line of JSON as `JSON.stringify` writes it, with every unsafe character as `\\uNNNN`. */
export function escapedJson(json: string): string {
  return replaceUnsafe(json, (character) => {
    // By UTF-16 unit, as JSON has it: a character beyond the first plane is two.
    const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('');
  });
}
