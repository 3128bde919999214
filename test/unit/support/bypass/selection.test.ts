import t from 'tap';
import { ROWS } from '#test/support/bypass/rows.ts';
import { differingRows, leftOut, selectionOf, selectRows, wasTried } from '#test/support/bypass/selection.ts';
import type { Cell, MatrixResult, Row } from '#test/support/bypass/types.ts';

const cell = (row: string, verdict: Cell['verdict'], detail = ''): Cell => ({
  row,
  who: 'root',
  family: '4',
  verdict,
  detail,
});
const result = (kernel: string, tier: string, ...cells: Cell[]): MatrixResult => ({ kernel, tier, cells });
const rows: readonly Row[] = ['tcp', 'sctp', 'vsock', 'new'].map((name) => ({ name, title: name }));
const namesOf = (results: readonly MatrixResult[]): string[] =>
  differingRows(results, rows).map(({ name }) => name);

t.test('rows in which kernels differ, new ones, and some always', async (t) => {
  const old = result(
    '6.1',
    'base',
    cell('tcp', 'redirected'),
    cell('sctp', 'refused'),
    cell('vsock', 'open'),
  );
  const host = result(
    '6.18',
    'base',
    cell('tcp', 'redirected'),
    cell('sctp', 'not run'),
    cell('vsock', 'open'),
  );
  t.same(namesOf([old, host]), ['tcp', 'sctp', 'new']);
});

t.test('tiers differ by what they are for', async (t) => {
  const base = result('6.1', 'base', cell('vsock', 'open'));
  const lsm = result('6.1', 'lsm', cell('vsock', 'refused'));
  t.same(namesOf([base, lsm]), ['tcp', 'sctp', 'new']);
});

t.test('a run that was told nothing tries all', async (t) => {
  t.equal(selectionOf(undefined), 'all');
  t.equal(selectionOf('differing'), 'differing');
});

t.test('what is left out by choice is in the result, as not run', async (t) => {
  const tried = new Set(selectRows('quiet').map(({ name }) => name));
  const cells = leftOut('quiet');
  const left = new Set(cells.map(({ row }) => row));
  t.ok(left.has('exec-race') && left.size < tried.size);
  t.same([...tried, ...left].sort(), ROWS.map(({ name }) => name).sort());
  t.same(new Set(cells.map(({ verdict }) => verdict)), new Set(['not run']));
  t.notOk(cells.some(wasTried));
  t.same(leftOut('all'), []);
});
