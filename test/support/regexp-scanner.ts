/**
 * Looks for needles with JavaScript's regular expressions, one after the other: another opinion on what the scanner finds, and
 * what it is compared with for speed. Of several needles that begin in one place it tells of one, which is enough: all
 * lead to the same.
 */
import type { Needle } from '#src/mask/detector.ts';
import type { Scanner, ScanStream } from '#src/mask/scanner.ts';

/** No needle is longer. */
const TAIL_BYTES = 512;

export function regexpScanner(needles: readonly Needle[]): Scanner {
  const expressions = needles.map(
    ({ expression, caseless }) => new RegExp(expression, caseless ? 'gis' : 'gs'),
  );
  return {
    scan: (bytes, texts, count, wanted) => {
      const found: number[] = [];
      for (let text = 0; text < count; text += 1) {
        const [start = 0, end = 0, column = 0] = texts.subarray(3 * text, 3 * text + 3);
        if (wanted[column] !== 1) continue;
        const all = search(expressions, `\n${textOf(bytes.subarray(start, end))}\n`);
        for (const [needle, at] of all) found.push(text, needle, start + at - 1);
      }
      return found.length === 0 ? null : Uint32Array.from(found);
    },
    stream: () => new RegexpStream(expressions),
  };
}

/** Which needle, and where it ends; by end. */
function search(expressions: readonly RegExp[], text: string): [needle: number, end: number][] {
  const found: [number, number][] = [];
  for (const [needle, expression] of expressions.entries()) {
    expression.lastIndex = 0;
    for (let match = expression.exec(text); match !== null; match = expression.exec(text)) {
      found.push([needle, match.index + match[0].length]);
      // Needles may overlap themselves.
      expression.lastIndex = match.index + 1;
    }
  }
  return found.sort((a, b) => a[1] - b[1] || a[0] - b[0]);
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

class RegexpStream implements ScanStream {
  readonly #expressions: readonly RegExp[];
  /** The end of what came, in which a needle may have begun. */
  #tail = '\n';

  constructor(expressions: readonly RegExp[]) {
    this.#expressions = expressions;
  }

  push(chunk: Uint8Array): Uint32Array | null {
    const before = this.#tail.length;
    const text = this.#tail + textOf(chunk);
    this.#tail = text.slice(-TAIL_BYTES);
    const found = search(this.#expressions, text)
      .filter(([, end]) => end > before)
      .flatMap(([needle, end]) => [needle, end - before]);
    return found.length === 0 ? null : Uint32Array.from(found);
  }

  end(): Uint32Array | null {
    return this.push(Buffer.from('\n'));
  }
}
