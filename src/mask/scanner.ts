/** What looks for needles: in many texts at once, or in one as it comes. */

export interface Scanner {
  /**
   * @param texts start and end in `bytes`, and a column, of each text
   * @param wanted by column: 0 where its texts are left out
   * @returns three numbers for each needle found: which text, which needle, and where in `bytes` it ends; by text, then by
   *   end, then by needle. One that ends with the line feed behind a text ends one byte behind the text. Null: none
   */
  scan(bytes: Uint8Array, texts: Uint32Array, count: number, wanted: Uint8Array): Uint32Array | null;
  /** A text whose first byte is about to come. */
  stream(): ScanStream;
}

export interface ScanStream {
  /** Two numbers for each needle: which, and how many bytes of this chunk it takes in; by end, then by needle. Null: none. */
  push(chunk: Uint8Array): Uint32Array | null;
  /** The text has ended: those that end with the line feed behind it. To be called once, on whatever way. */
  end(): Uint32Array | null;
}
