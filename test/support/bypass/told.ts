/** An answer of the matrix as one line of TAP, by which a guest tells it to its host while others are still tried. */
import type { Cell, MatrixResult } from './types.ts';

const LINE = /^\s*# cell (\{.+\})$/;

/** The text of the comment. */
export function cellLine({ kernel, tier }: Pick<MatrixResult, 'kernel' | 'tier'>, cell: Cell): string {
  return `cell ${JSON.stringify({ kernel, tier, ...cell })}`;
}

/** What such a comment tells; null for any other line. One that a dying guest has garbled is none. */
export function readCellLine(line: string): MatrixResult | null {
  const text = LINE.exec(line)?.[1];
  if (text === undefined) return null;
  try {
    const { kernel, tier, ...cell } = JSON.parse(text) as Cell & Pick<MatrixResult, 'kernel' | 'tier'>;
    return { kernel, tier, cells: [cell] };
  } catch {
    return null;
  }
}
