/**
 * Text on its way to a terminal. Host names, paths and details come from agents and servers, so nothing they
 * wrote may move a cursor, change a colour, or make one line look like another.
 */
import { escapedJson } from '../core/safe-json.ts';
import { replaceUnsafe } from '../core/unsafe-text.ts';

/** The text with every character that a terminal might act on written as `\xNN` or `\u{NNNN}`. */
export function safeText(text: string): string {
  return replaceUnsafe(text, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

/** JSON on one line that means the same to a parser and nothing to a terminal. */
export function safeJson(value: unknown): string {
  return escapedJson(JSON.stringify(value));
}

export type Paint = 'red' | 'green' | 'yellow' | 'bold' | 'dim';

const CODES: Readonly<Record<Paint, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 };

export type Painter = (text: string, paint: Paint | null) => string;

/** What is asked of an output stream before colour is used. */
export interface MaybeTerminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Colours for a terminal, unless NO_COLOR (https://no-color.org) is set and not empty or TERM is `dumb`. */
export function painterFor(stream: MaybeTerminal, env: NodeJS.ProcessEnv): Painter {
  const plain = stream.isTTY !== true || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  if (plain) return (text) => text;
  return (text, paint) => (paint === null ? text : `\u001b[${CODES[paint]}m${text}\u001b[0m`);
}

/** Columns of a terminal; null when the output is none, and lines may have any length. */
export function widthOf(stream: MaybeTerminal): number | null {
  return stream.isTTY === true ? (stream.columns ?? 80) : null;
}
