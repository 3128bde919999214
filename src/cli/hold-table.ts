/** How something that waits is shown: a row, and below it what is to be run, with which values. */
import type { HoldStatus } from '../api/types.ts';
import { SHOWN_MAX_CHARS } from '../flow/hold.ts';
import type { Column } from './table.ts';
import { safeText } from './terminal.ts';
import { formatTime } from './units.ts';

export const HOLD_COLUMNS: readonly Column[] = [
  { title: 'ID' },
  { title: 'AGENT', shrinkTo: 8 },
  { title: 'RULE', shrinkTo: 8 },
  { title: 'VERB', shrinkTo: 6 },
  { title: 'OBJECTS', shrinkTo: 10 },
  { title: 'SINCE', dropOrder: 2 },
  { title: 'UNTIL', dropOrder: 1 },
];

/** A row that a table has room for by which not all rows are known yet. */
export const TYPICAL_HOLD_ROW: readonly string[] = [
  '0123456789',
  'some-agent-name',
  'some-rule-of-policy',
  'DELETE',
  'some_schema.some_table',
  '2026-01-31 12:00:00',
  '2026-01-31 12:05:00',
];

export function holdRow(hold: HoldStatus): string[] {
  const { id, agent, rules, verbs, objects, more, since, until } = hold;
  const rest = more > 0 ? [`and ${more} more`] : [];
  return [
    id,
    agent ?? '-',
    rules.join(', '),
    verbs.join(', '),
    [...objects, ...rest].join(', ') || '-',
    formatTime(since),
    formatTime(until),
  ];
}

/** Whole lines, indented, in which nothing acts on a terminal. */
export function holdDetails({ texts, values }: HoldStatus): string {
  const lines = texts.flatMap(({ text, bytes }, index) => {
    const name = index === 0 ? '' : 'which executes: ';
    if (text === null)
      return [`${name}(${bytes} bytes, not shown: something is to be masked that cannot be)`];
    const shown = `${name}${text}`.split(/\r?\n/);
    // What is masked may have made a shorter one shorter.
    const isCut = Buffer.byteLength(text) < bytes && text.length >= SHOWN_MAX_CHARS;
    return isCut ? [...shown, `… CUT: it has ${bytes} bytes`] : shown;
  });
  const given = values.map((value, index) => `$${index + 1} = ${value}`);
  return [...lines, ...given].map((line) => `    ${safeText(line)}\n`).join('');
}
