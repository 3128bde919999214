/**
 * The flow log as NDJSON: one line for each record (record-line.ts). Whoever reads may be slow or gone; see
 * line-sink.ts.
 */
import { LineSink, type LineSinkHealth } from './line-sink.ts';

export class NdjsonLog {
  readonly #sink: LineSink;
  readonly #onExit = (): void => this.#sink.close();

  /** `fd`: 1 for standard output. */
  constructor(fd: number, options: { readonly maxBufferedBytes?: number } = {}) {
    this.#sink = new LineSink(fd, options);
    process.once('exit', this.#onExit);
  }

  /** A line of `RecordLines`. */
  write(line: string): void {
    this.#sink.write(line);
  }

  health(): LineSinkHealth {
    return this.#sink.health();
  }

  /** Writes what can be written at once. Later records are dropped and counted. */
  close(): void {
    process.removeListener('exit', this.#onExit);
    this.#sink.close();
  }
}
