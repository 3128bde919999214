import { readFileSync } from 'node:fs';
import t from 'tap';
import { contradictions } from '#test/support/bypass/declared.ts';
import { DOCUMENT, document, joined, keptResults } from '#test/support/bypass/document.ts';
import { ROWS } from '#test/support/bypass/rows.ts';
import type { Cell, MatrixResult } from '#test/support/bypass/types.ts';

const result = (kernel: string, cells: MatrixResult['cells']): MatrixResult => ({
  kernel,
  tier: 'base',
  cells,
});

t.test('docs/bypass-matrix.md is made of the results that are kept', async (t) => {
  t.equal(readFileSync(DOCUMENT, 'utf8'), document(keptResults()), 'mend: sudo scripts/bypass --write');
});

t.test('what is kept has every row and contradicts nothing that is declared', async (t) => {
  for (const kept of keptResults()) {
    t.strictSame(contradictions(kept), [], `${kept.kernel} ${kept.tier}`);
    t.strictSame(
      [...new Set(kept.cells.map(({ row }) => row))],
      ROWS.map(({ name }) => name),
    );
  }
});

t.test('the same answer is one line, another one of its own, an open way says what closes it', async (t) => {
  const text = document([
    result('6.1', [
      { row: 'tcp', who: 'root', family: '4', verdict: 'redirected', detail: '' },
      { row: 'tcp', who: 'root', family: '6', verdict: 'redirected', detail: '' },
      { row: 'tcp', who: 'user', family: '4', verdict: 'redirected', detail: '' },
      { row: 'tcp', who: 'user', family: '6', verdict: 'refused', detail: 'EPERM at connect' },
      { row: 'unix-helper', who: 'user', family: '4', verdict: 'open', detail: 'plain bytes on the wire' },
    ]),
  ]);
  t.match(text, '| connect() | root | IPv4, IPv6 | redirected |');
  t.match(text, '| connect() | user | IPv4 | redirected |');
  t.match(text, '| connect() | user | IPv6 | refused: EPERM at connect |');
  t.match(text, '| a helper outside, asked by AF_UNIX | user | IPv4 | **open**: enrolling the helper |');
  t.match(text, '| 6.1 | base | 3 | 1 | 0 | 0 | 1 | 0 | 0 |');
});

t.test(
  'an answer that is told again takes the place of the one before, and all are in the order of the rows',
  async (t) => {
    const cell = (row: string, verdict: Cell['verdict']): Cell => ({
      row,
      who: 'user',
      family: '4',
      verdict,
      detail: '',
    });
    const before = [cell('udp', 'failed'), cell('unix-helper', 'open')];
    t.strictSame(joined(before, [cell('udp', 'refused'), cell('tcp', 'redirected')]), [
      cell('tcp', 'redirected'),
      cell('udp', 'refused'),
      cell('unix-helper', 'open'),
    ]);
  },
);
