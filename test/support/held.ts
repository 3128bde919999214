/**
 * What waits for approval in a Sluice, as the command line shows and answers it; and what of it has come to the server, which its
 * own log says.
 */
import type { HoldStatus } from '#src/api/types.ts';
import { type Finished, type Running, until } from './command.ts';
import { psqlThrough } from './psql.ts';
import type { TestSluice } from './sluice.ts';
import { AGENTS } from './world-policy.ts';

/** Hundreds of sessions begin, or end. */
const MANY_TIMEOUT_MS = 120_000;

export class Held {
  readonly #sluice: TestSluice;
  #looks = 0;

  constructor(sluice: TestSluice) {
    this.#sluice = sluice;
  }

  /** Oldest first. */
  async list(): Promise<HoldStatus[]> {
    const { stdout } = await this.#sluice.cli(['holds', '--output', 'json']);
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as HoldStatus);
  }

  /** The first that waits and that is none of these. */
  next(...known: readonly HoldStatus[]): Promise<HoldStatus> {
    return until('something that waits', async () =>
      (await this.list()).find(({ id }) => known.every((other) => other.id !== id)),
    );
  }

  /** By the API, which shows what does not wait for long; null: it has ended before it was seen. @param asking who waits for it */
  seen(text: string, asking: Running): Promise<HoldStatus | null> {
    return until(`${text} to wait`, async () => {
      const { ended } = asking;
      const hold = (await this.#sluice.api.holds()).holds.find(({ texts }) => texts[0]?.text?.includes(text));
      if (hold !== undefined) return { hold };
      return ended && { hold: null };
    }).then(({ hold }) => hold);
  }

  /** All that wait, once there are so many. */
  all(count: number): Promise<HoldStatus[]> {
    return until(
      `${count} that wait`,
      async () => {
        const found = await this.list();
        return found.length === count && found;
      },
      MANY_TIMEOUT_MS,
    );
  }

  none(): Promise<true> {
    return until('nothing that waits', async () => (await this.list()).length === 0, MANY_TIMEOUT_MS);
  }

  approve(id: string): Promise<Finished> {
    return this.#sluice.cli(['holds', 'approve', id]);
  }

  deny(id: string): Promise<Finished> {
    return this.#sluice.cli(['holds', 'deny', id]);
  }

  /** How often the server has run something with this text in it. */
  async ran(text: string): Promise<number> {
    return (await this.executed()).filter((line) => line.includes(text)).length;
  }

  /** All that the server has run, as its log has it. */
  async executed(): Promise<string[]> {
    return (await this.log()).split('\n').filter((line) => / (?:statement|execute \S+): /.test(line));
  }

  /** The server's log up to now. Somebody who is not held must get through to it. */
  async log(): Promise<string> {
    const { postgres } = this.#sluice.world;
    this.#looks += 1;
    const last = `look ${this.#looks}`;
    // The log has what was run before that before it.
    await psqlThrough(this.#sluice).psql(AGENTS.shop, `select '${last}';`);
    await until(`'${last}' in PostgreSQL's log`, () => postgres.log.includes(`select '${last}'`));
    return postgres.log;
  }
}
