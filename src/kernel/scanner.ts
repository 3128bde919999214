/** The scanner of native code: many expressions looked for in one pass, by Vectorscan. */
import { messageOf, SluiceError } from '../core/errors.ts';
import {
  addon,
  type NativeExpressions,
  type NativePatterns,
  type NativeScanner,
  type NativeScanStream,
  type Outline,
} from './addon.ts';

/** What is looked for. Its number is its place in the list. */
export interface Expression {
  /** A regular expression as Vectorscan has them; `.` is any byte. */
  readonly expression: string;
  /** ASCII letters in either case. */
  readonly caseless: boolean;
  /** What is searched for only where it may be by this; null or missing: everywhere. */
  readonly outline?: Outline | null;
}

export class BatchScanner {
  readonly #native: NativeScanner;

  /** Compiles at once, unless it has been done: some ten milliseconds for a hundred expressions, and more for thousands of words. */
  constructor(expressions: readonly Expression[], compiled: NativePatterns | null = null) {
    try {
      this.#native = new (addon().Scanner)(
        ...(compiled === null ? listsOf(expressions) : ([compiled] as const)),
      );
    } catch (cause) {
      throw unsearchable(cause);
    }
  }

  /** Compiles on another thread: the event loop goes on meanwhile. */
  static async compiled(expressions: readonly Expression[]): Promise<BatchScanner> {
    let patterns: NativePatterns;
    try {
      patterns = await addon().compilePatterns(...listsOf(expressions));
    } catch (cause) {
      throw unsearchable(cause);
    }
    return new BatchScanner(expressions, patterns);
  }

  /** Bytes of memory. */
  get size(): number {
    return this.#native.size;
  }

  /**
   * @param texts start and end in `bytes`, and a column, of each text
   * @param wanted by column: 0 where its texts are left out
   * @returns three numbers for each match: which text, which expression, and where in `bytes` it ends; by text, then by end,
   *   then by expression. A match may take in line feeds before and behind its text. Null: none
   */
  scan(bytes: Uint8Array, texts: Uint32Array, count: number, wanted: Uint8Array): Uint32Array | null {
    return this.#native.scan(bytes, texts, count, wanted);
  }

  /** A text that is about to come: `push` and `end` give two numbers for each match, which expression and where it ends in the chunk. */
  stream(): NativeScanStream {
    return new (addon().ScanStream)(this.#native);
  }
}

function listsOf(expressions: readonly Expression[]): NativeExpressions {
  return [
    expressions.map(({ expression }) => expression),
    expressions.map(({ caseless }) => caseless),
    expressions.map(({ outline = null }) => outline),
  ];
}

function unsearchable(cause: unknown): SluiceError {
  return new SluiceError(
    'POLICY',
    `the detectors of the policy cannot be searched for: ${messageOf(cause)}`,
    {
      cause,
    },
  );
}
