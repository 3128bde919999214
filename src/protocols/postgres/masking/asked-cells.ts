/** Values that are to be searched at once, by where they lie in the bytes: what Masker.cells() takes, in memory that is used again. */

/** Start, end, and which masker. */
const NUMBERS_A_CELL = 3;
const CELLS_MIN = 1_024;

export class AskedCells {
  #numbers = new Uint32Array(NUMBERS_A_CELL * CELLS_MIN);
  #count = 0;

  get numbers(): Uint32Array {
    return this.#numbers;
  }

  get count(): number {
    return this.#count;
  }

  add(start: number, end: number, masker: number): void {
    const at = NUMBERS_A_CELL * this.#count;
    if (at === this.#numbers.length) {
      const grown = new Uint32Array(2 * at);
      grown.set(this.#numbers);
      this.#numbers = grown;
    }
    this.#numbers[at] = start;
    this.#numbers[at + 1] = end;
    this.#numbers[at + 2] = masker;
    this.#count += 1;
  }

  /** @returns start, end and masker of the value of that number */
  at(cell: number): Uint32Array {
    const at = NUMBERS_A_CELL * cell;
    return this.#numbers.subarray(at, at + NUMBERS_A_CELL);
  }

  clear(): void {
    this.#count = 0;
  }
}
