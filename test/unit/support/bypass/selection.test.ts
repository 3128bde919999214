import t from 'tap';
import { ROWS } from '#test/support/bypass/rows.ts';
import {
  differingRows,
  leftOut,
  missingRows,
  selectionOf,
  selectRows,
  wasTried,
} from '#test/support/bypass/selection.ts';
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
  const tried = new Set(selectRows('quiet', { kernel: '6.1', tier: 'lsm' }).map(({ name }) => name));
  const cells = leftOut('quiet');
  const left = new Set(cells.map(({ row }) => row));
  t.ok(left.has('exec-race') && left.size < tried.size);
  t.same([...tried, ...left].sort(), ROWS.map(({ name }) => name).sort());
  t.same(new Set(cells.map(({ verdict }) => verdict)), new Set(['not run']));
  t.notOk(cells.some(wasTried));
  t.same(leftOut('all'), []);
});

t.test('what failed, was left out or is not there is missing; what could not run here is not', async (t) => {
  const own: readonly Row[] = rows.map((row) => ({ ...row, who: ['root'], families: ['4'] }));
  const missing = (...cells: Cell[]): string[] =>
    missingRows(result('6.1', 'lsm', ...cells), own).map(({ name }) => name);
  const [left] = leftOut('quiet');
  t.same(
    missing(
      cell('tcp', 'redirected'),
      cell('sctp', 'failed', 'the daemon ended'),
      cell('vsock', 'not run', 'no such kernel'),
      cell('new', 'not run', left?.detail),
    ),
    ['sctp', 'new'],
  );
  t.equal(missingRows(undefined, own).length, own.length);
  const both: readonly Row[] = [{ name: 'tcp', title: 'tcp' }];
  t.equal(missingRows(result('6.1', 'lsm', cell('tcp', 'redirected')), both).length, 1, 'of some only');
});

t.test('a few are rows of each layer that there are', async (t) => {
  const few = selectRows('few', { kernel: '6.1', tier: 'lsm' }).map(({ name }) => name);
  t.equal(few.length, 15);
  t.ok(few.includes('tcp') && few.includes('packet-datagram'));
});
