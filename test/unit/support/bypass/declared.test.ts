import { readFileSync } from 'node:fs';
import t from 'tap';
import { contradictions, DECLARED } from '#test/support/bypass/declared.ts';
import { FAMILIES, ROWS, WHO } from '#test/support/bypass/rows.ts';
import type { Cell } from '#test/support/bypass/types.ts';

const cell = (change: Partial<Cell>): Cell => ({
  row: 'tcp',
  who: 'user',
  family: '4',
  verdict: 'redirected',
  detail: '',
  ...change,
});
const check = (change: Partial<Cell>): string[] =>
  contradictions({ kernel: '6.1', tier: 'base', cells: [cell(change)] });

t.test('open and not declared, declared and closed: both contradict', async (t) => {
  t.strictSame(check({}), []);
  t.match(check({ verdict: 'open', detail: 'plain bytes' }), [/tcp \(user, 4\) is open and not declared/]);
  t.strictSame(check({ row: 'unix-helper', verdict: 'open' }), []);
  t.match(check({ row: 'unix-helper', verdict: 'refused' }), [/is declared open and is refused/]);
  t.strictSame(check({ row: 'unix-helper', verdict: 'not run' }), []);
});

t.test('what could not be tried is reported with its error, be it declared or not', async (t) => {
  const failed = { verdict: 'failed', detail: 'the daemon ended' } as const;
  t.strictSame(check(failed), ['tcp (user, 4) could not be tried: the daemon ended']);
  t.equal(check({ ...failed, row: 'unix-helper' }).length, 1);
});

t.test('what is declared for one user or family is not for another', async (t) => {
  t.strictSame(check({ row: 'packet-raw', who: 'root', verdict: 'open' }), []);
  t.match(check({ row: 'packet-raw', who: 'user', verdict: 'open' }), [/not declared/]);
  t.match(check({ row: 'inherited-udp-connected', family: 'mapped', verdict: 'open' }), [/not declared/]);
});

t.test('a tier of which nothing is declared is no tier', async (t) => {
  t.match(contradictions({ kernel: '6.1', tier: 'unheard-of', cells: [] }), [/nothing is declared/]);
});

t.test('what is declared is a row, tried by those it is declared for', async (t) => {
  for (const open of Object.values(DECLARED).flat()) {
    const row = ROWS.find(({ name }) => name === open.row);
    t.ok(row, open.row);
    t.ok(open.who.every((who) => (row?.who ?? WHO).includes(who)));
    t.ok(open.families?.every((family) => (row?.families ?? FAMILIES).includes(family)) ?? true);
    t.not(open.closedBy, '');
  }
});

t.test('each is in the limits of README, in the words that are given', async (t) => {
  const readme = readFileSync(new URL('../../../../README.md', import.meta.url), 'utf8');
  const limits = /^## Limits$([\s\S]*?)^## /m.exec(readme)?.[1] ?? '';
  const said = limits.replace(/\s+/g, ' ');
  for (const { row, limit } of Object.values(DECLARED).flat()) t.ok(said.includes(limit), `${row}: ${limit}`);
});

t.test('names are unique', async (t) => {
  t.equal(new Set(ROWS.map(({ name }) => name)).size, ROWS.length);
});
