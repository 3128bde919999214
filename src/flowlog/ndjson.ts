/**
 * The flow log as NDJSON: one line for each record, through pino, with the field names of flow/record.ts after
 * `"event":"flow"`. Whoever reads may be slow or gone; see line-sink.ts.
 */
import { type Logger, pino } from 'pino';
import type { FlowRecord } from '../flow/record.ts';
import { LineSink, type LineSinkHealth } from './line-sink.ts';

export class NdjsonLog {
  readonly #sink: LineSink;
  readonly #log: Logger;
  readonly #onExit = (): void => this.#sink.close();

  /** `fd`: 1 for standard output. */
  constructor(fd: number, options: { readonly maxBufferedBytes?: number } = {}) {
    this.#sink = new LineSink(fd, options);
    this.#log = pino(
      {
        base: null,
        // The record has its own time, and no level: takes the place pino gives to both.
        timestamp: false,
        formatters: { level: () => ({ event: 'flow' }) },
      },
      this.#sink,
    );
    process.once('exit', this.#onExit);
  }

  append(records: readonly FlowRecord[]): void {
    for (const record of records) this.#log.info(record);
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
