/**
 * Every known way past Sluice, tried by agents against a running daemon and judged by the far side's capture. None
 * may be open but those that are declared, with what closes them; and those must be open, or the limits say too much.
 *
 * SLUICE_BYPASS_ROWS says which rows: see selection.ts. With SLUICE_BYPASS_RESULT=- each answer is a comment as it becomes
 * known, and is not compared with the one that is kept: it is to take its place.
 */
import t from 'tap';
import { contradictions } from '#test/support/bypass/declared.ts';
import { keptFor } from '#test/support/bypass/document.ts';
import { Field } from '#test/support/bypass/field.ts';
import { kernelOf, runMatrix } from '#test/support/bypass/matrix.ts';
import { ROWS, techniqueOf } from '#test/support/bypass/rows.ts';
import { leftOut, selectionOf, selectRows, wasTried } from '#test/support/bypass/selection.ts';
import { whenItAnswers } from '#test/support/bypass/special.ts';
import { steadyLines } from '#test/support/bypass/steady.ts';
import { cellLine } from '#test/support/bypass/told.ts';
import type { Cell, MatrixResult } from '#test/support/bypass/types.ts';
import { patience } from '#test/support/patience.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(390_000 * patience);
const selection = selectionOf(process.env['SLUICE_BYPASS_ROWS']);
const isToBeKept = process.env['SLUICE_BYPASS_RESULT'] === '-';
const field = await Field.open();
t.teardown(() => field.close());

t.test('the rows are the techniques of the test program, all of them', async (t) => {
  /** Of the parts played by others than the agent that is tried, and by one of a crowd. */
  const parts = ['one-of-many', 'visit', 'visit-udp', 'impostor'];
  const played = new Set(['impostor-beside', 'impostor-after', 'second-daemon']);
  const techniques = ROWS.filter(({ name }) => !played.has(name)).map(techniqueOf);
  const listed = (await field.list()).filter((name) => !parts.includes(name));
  t.strictSame([...new Set(techniques)].sort(), listed.sort());
});

t.test('no way is open in silence', async (t) => {
  const { tier } = await whenItAnswers(field);
  const rows = selectRows(selection, { kernel: kernelOf(), tier });
  const onCells = (known: MatrixResult): void => {
    if (isToBeKept) for (const cell of known.cells) t.comment(cellLine(known, cell));
  };
  const result = await runMatrix(field, { rows, onStep: (text) => t.comment(text), onCells });
  onCells({ ...result, cells: leftOut(selection) });
  t.strictSame(contradictions(result), []);
  t.equal(new Set(result.cells.map(({ row }) => row)).size, rows.length, 'every row was tried');
  if (isToBeKept) return;

  const kept = keptFor(result);
  if (kept === undefined) {
    t.comment(`no result is kept for ${result.kernel} ${result.tier}: scripts/bypass --write keeps one`);
    return;
  }
  const left = new Set(kept.cells.filter((cell) => !wasTried(cell)).map(({ row }) => row));
  const inBoth = (cells: readonly Cell[]): Cell[] =>
    cells.filter(({ row }) => !left.has(row) && rows.some(({ name }) => name === row));
  t.strictSame(
    steadyLines(inBoth(result.cells)),
    steadyLines(inBoth(kept.cells)),
    'what docs/bypass-matrix.md says is what happens',
  );
});
