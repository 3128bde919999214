import { readFileSync } from 'node:fs';
import t from 'tap';
import { REASON_TEXT } from '#src/flowlog/reasons.ts';

const TYPES = readFileSync(new URL('../../../src/flow/record.ts', import.meta.url), 'utf8');
const DOCUMENT = readFileSync(new URL('../../../docs/flow-log.md', import.meta.url), 'utf8');

/** Rows of the tables of the document, by their first cell. */
const ROWS = new Map(
  DOCUMENT.split('\n').flatMap((line) => {
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    const name = /^`([^`]+)`$/.exec(cells[1] ?? '')?.[1];
    return name === undefined ? [] : [[name, cells.slice(2, -1)] as const];
  }),
);

t.test('every reason is documented, in the words the records use', async (t) => {
  for (const [reason, text] of Object.entries(REASON_TEXT)) t.equal(ROWS.get(reason)?.[0], text, reason);
});

t.test('every field of the record is documented', async (t) => {
  const groups: Readonly<Record<string, string>> = {
    FlowRecord: '',
    FlowSource: 'src.',
    FlowDestination: 'dst.',
    FlowIdentity: 'identity.',
    FlowTls: 'tls.',
  };
  let fields = 0;
  for (const [name, prefix] of Object.entries(groups)) {
    const body = new RegExp(`export interface ${name} \\{(.*?)\\n\\}`, 's').exec(TYPES)?.[1] ?? '';
    for (const [, field] of body.matchAll(/^ {2}readonly (\w+):/gm)) {
      fields++;
      const full = `${prefix}${field}`;
      const nested = [...ROWS.keys()].some((row) => row.startsWith(`${full}.`));
      t.ok(ROWS.has(full) || nested, full);
    }
  }
  for (const field of [
    'bytes.agent_to_server',
    'bytes.server_to_agent',
    'timings.connect_ms',
    'timings.tls_ms',
    'timings.total_ms',
  ]) {
    t.ok(ROWS.has(field), field);
  }
  t.ok(fields > 40, `${fields} fields found`);
});

t.test('every value of an enumeration is documented', async (t) => {
  for (const name of ['Disposition', 'Protocol', 'Verdict']) {
    const body = new RegExp(`export type ${name} =([^;]+);`).exec(TYPES)?.[1] ?? '';
    for (const [, value] of body.matchAll(/'([^']+)'/g))
      t.ok(DOCUMENT.includes(`\`${value}\``), `${name} ${value}`);
  }
});
