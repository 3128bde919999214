/**
 * Puts policy's masks into the way of a flow: composes what a protocol reads with what masks make of it, and counts both
 * for the record.
 */
import { BoundedMap } from '../core/bounded-map.ts';
import type { Clock } from '../core/clock.ts';
import type { FlowMasks } from '../flow/record.ts';
import type { MaskEngine } from '../mask/engine.ts';
import { makeMasker } from '../mask/mask-set.ts';
import { masksDirection } from '../policy/masks.ts';
import type { CompiledMask } from '../policy/types.ts';
import type { Catalog, CatalogKeeper } from '../protocols/postgres/masking/catalog.ts';
import { ColumnRules } from '../protocols/postgres/masking/column-rules.ts';
import { FactsCache } from '../protocols/postgres/masking/facts-cache.ts';
import { MaskedSession } from '../protocols/postgres/masking/masked-session.ts';
import { chain } from './filter-chain.ts';
import { readableSession } from './readable-session.ts';
import type { Recognised } from './recognise.ts';
import type { RelayOptions } from './relay.ts';

/** One for all flows of a worker: what a text says depends on nothing else. */
const facts = new FactsCache();

/** What is known of a database's tables is asked again after that long, at the next pause of a session with it. */
const CATALOG_AGE_MAX_MS = 60_000;
/** Databases whose tables are remembered. */
const CATALOGS_MAX = 256;

export interface Masked {
  /** The relay's options with the masking put in. */
  readonly wrap: (relay: RelayOptions) => RelayOptions;
  readonly counts: () => FlowMasks;
}

export interface MaskingOptions {
  readonly masks: readonly CompiledMask[];
  readonly engine: MaskEngine;
  readonly catalogs: Catalogs;
  readonly recognised: Recognised | null;
  /** The flow goes on inside the agent's own TLS. */
  readonly agentTls: boolean;
  /** Which server, by its address, port and name. */
  readonly server: string;
}

/** Null where the values of this flow cannot be read, so that masks could not be kept. */
export function maskFlow(options: MaskingOptions): Masked | null {
  const { masks, engine, catalogs, recognised, agentTls, server } = options;
  const opening = readableSession(recognised, agentTls);
  if (opening === null) return null;
  const found = { masked: 0, observed: 0 };
  const counts = (): FlowMasks => ({ ...found });
  if (opening === 'none') return { wrap: (relay) => relay, counts };
  // Values of requests are not masked.
  if (masks.some((mask) => masksDirection(mask, 'requests'))) return null;
  const masker = makeMasker(engine, masks, 'responses');
  if (masker === null) return { wrap: (relay) => relay, counts };
  const columns = new ColumnRules(masks.flatMap((mask) => mask.columns));
  const hasColumns = columns.rules.length > 0;
  const session = new MaskedSession({
    startupBytes: opening.raw.length,
    masker,
    columns,
    factsOf: hasColumns ? facts.factsOf : facts.copiesOf,
    onHits: (hits) => {
      for (const { observed, count } of hits) found[observed ? 'observed' : 'masked'] += count;
    },
    keeper: hasColumns ? catalogs.keeperOf(server, opening.database, columns) : null,
  });
  return {
    counts,
    wrap: (relay) => ({
      ...relay,
      agentFilter: chain(relay.agentFilter, session.toServer),
      serverFilter: chain(relay.serverFilter, {
        push: (chunk) => session.toAgent.push(chunk),
        done: false,
        back: () => session.questions(),
      }),
    }),
  };
}

interface Known {
  catalog: Catalog | null;
  askedMs: number;
}

/** What is known of databases, for all flows under one policy. */
export class Catalogs {
  readonly #clock: Clock;
  readonly #known = new BoundedMap<string, Known>(CATALOGS_MAX);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Names of columns are part of the key: what is known is which columns they mean. */
  keeperOf(server: string, database: string, columns: ColumnRules): CatalogKeeper {
    const names = columns.rules.map(({ schema, table, column }) => [schema, table, column]);
    const key = JSON.stringify([server, database, names]);
    const now = (): number => this.#clock.monotonic();
    return {
      current: () => this.#known.get(key)?.catalog ?? null,
      isDue: () => {
        const known = this.#known.get(key);
        return known === undefined || now() - known.askedMs > CATALOG_AGE_MAX_MS;
      },
      keep: (catalog) => this.#known.set(key, { catalog, askedMs: now() }),
      expire: () => {
        const known = this.#known.get(key);
        if (known !== undefined) known.askedMs = -Infinity;
      },
    };
  }
}
