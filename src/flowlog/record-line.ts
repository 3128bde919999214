/**
 * A record as text: one line of NDJSON, made by pino with the field names of flow/record.ts after `"event":"flow"`.
 * Made once and shared by the log and the store; serialising twice is a tenth of what a short flow costs the daemon.
 */
import { type Logger, pino } from 'pino';
import { escapedJson } from '../core/safe-json.ts';
import type { FlowRecord } from '../flow/record.ts';

const EVENT = '{"event":"flow",';

export class RecordLines {
  #line = '';
  readonly #log: Logger = pino(
    {
      base: null,
      // The record has its own time, and no level: takes the place pino gives to both.
      timestamp: false,
      formatters: { level: () => ({ event: 'flow' }) },
    },
    {
      write: (line: string) => {
        this.#line = line;
      },
    },
  );

  /** The record alone, as JSON. */
  jsonOf(record: FlowRecord): string {
    this.#log.info(record);
    return escapedJson(`{${this.#line.slice(EVENT.length, -1)}`);
  }
}

/** The line, with its line feed, of a record as `jsonOf` made it. */
export function lineOf(json: string): string {
  return `${EVENT}${json.slice(1)}\n`;
}
