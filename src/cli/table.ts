/**
 * Tables for people: columns as wide as they must be, and never wider than the terminal. What does not fit
 * is shortened with an ellipsis, then columns that matter least go. Cells are made safe for a terminal here, so
 * that no caller can forget it.
 */
import { type Paint, type Painter, safeText } from './terminal.ts';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** It may be shortened to this many characters; without it, never. */
  readonly shrinkTo?: number;
  /** Columns with the highest number go first when all is shrunk and it still does not fit; without it, never. */
  readonly dropOrder?: number;
  readonly paint?: (cell: string) => Paint | null;
}

interface PlacedColumn {
  readonly column: Column;
  /** Index into a row's cells. */
  readonly index: number;
  readonly width: number;
}

const GAP = '  ';

export class Table {
  readonly #placed: readonly PlacedColumn[];
  readonly #painter: Painter;
  readonly #bounded: boolean;

  /**
   * `samples` are rows, or typical rows when not all are known yet, that columns are made wide enough for.
   * `width` is the terminal's; null: any.
   */
  constructor(
    columns: readonly Column[],
    samples: readonly (readonly string[])[],
    width: number | null,
    painter: Painter,
  ) {
    const natural = columns.map((column, index) => ({
      column,
      index,
      width: naturalWidth(column, index, samples),
    }));
    this.#placed = width === null ? natural : fit(natural, width);
    this.#painter = painter;
    this.#bounded = width !== null;
  }

  header(): string {
    return this.#line(
      this.#placed.map(({ column }) => column.title),
      () => 'bold',
    );
  }

  row(cells: readonly string[]): string {
    return this.#line(
      this.#placed.map(({ index }) => safeText(cells[index] ?? '')),
      (column, text) => column.paint?.(text) ?? null,
    );
  }

  #line(texts: readonly string[], paintOf: (column: Column, text: string) => Paint | null): string {
    const parts = this.#placed.map(({ column, width }, at) => {
      const text = texts[at] ?? '';
      const shown = this.#bounded ? shorten(text, width) : text;
      const space = ' '.repeat(Math.max(0, width - lengthOf(shown)));
      const painted = this.#painter(shown, paintOf(column, text));
      const isLast = at === this.#placed.length - 1;
      return column.align === 'right' ? space + painted : painted + (isLast ? '' : space);
    });
    return parts.join(GAP);
  }
}

/** Header and all rows, each line ended. */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number | null,
  painter: Painter,
): string {
  const table = new Table(columns, rows, width, painter);
  return [table.header(), ...rows.map((row) => table.row(row))].map((line) => `${line}\n`).join('');
}

function naturalWidth(column: Column, index: number, samples: readonly (readonly string[])[]): number {
  return samples.reduce(
    (width, cells) => Math.max(width, lengthOf(safeText(cells[index] ?? ''))),
    column.title.length,
  );
}

function fit(natural: readonly PlacedColumn[], width: number): readonly PlacedColumn[] {
  let placed = natural;
  while (total(placed.map(atLeast)) > width) {
    const droppable = placed.filter(({ column }) => column.dropOrder !== undefined);
    const first = droppable.reduce<PlacedColumn | null>(
      (most, one) => ((one.column.dropOrder ?? 0) > (most?.column.dropOrder ?? -1) ? one : most),
      null,
    );
    if (first === null) break;
    placed = placed.filter((one) => one !== first);
  }
  return shrink(placed, width);
}

/** Takes from the widest column that can still give, one character at a time, so that the loss is spread. */
function shrink(placed: readonly PlacedColumn[], width: number): readonly PlacedColumn[] {
  const widths = placed.map((one) => one.width);
  let excess = total(placed) - width;
  for (; excess > 0; excess -= 1) {
    let widest = -1;
    placed.forEach((one, at) => {
      const can = (widths[at] ?? 0) > atLeast(one).width;
      if (can && (widths[at] ?? 0) > (widths[widest] ?? -1)) widest = at;
    });
    if (widest === -1) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return placed.map((one, at) => ({ ...one, width: widths[at] ?? one.width }));
}

function atLeast(one: PlacedColumn): PlacedColumn {
  return { ...one, width: Math.min(one.width, one.column.shrinkTo ?? one.width) };
}

function total(placed: readonly PlacedColumn[]): number {
  return placed.reduce((sum, one) => sum + one.width, 0) + GAP.length * Math.max(0, placed.length - 1);
}

/** In code points: what matters here is ASCII, and the odd name beyond it may sit a column off. */
function lengthOf(text: string): number {
  return [...text].length;
}

function shorten(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`;
}
