/**
 * Puts policy's masks into the way of a flow: composes what a protocol reads with what masks make of it, and counts both
 * for the record.
 */
import { BoundedMap } from '../core/bounded-map.ts';
import type { Clock } from '../core/clock.ts';
import type { FlowMasks } from '../flow/record.ts';
import type { MaskEngine } from '../mask/engine.ts';
import { makeMasker } from '../mask/mask-set.ts';
import type { Masker } from '../mask/masker.ts';
import { masksDirection } from '../policy/masks.ts';
import type { CompiledMask } from '../policy/types.ts';
import { Denials } from '../protocols/postgres/denials.ts';
import type { Catalog, CatalogKeeper } from '../protocols/postgres/masking/catalog.ts';
import type { OnHits } from '../protocols/postgres/masking/cell.ts';
import { ColumnRules } from '../protocols/postgres/masking/column-rules.ts';
import { FactsCache } from '../protocols/postgres/masking/facts-cache.ts';
import { MaskedSession } from '../protocols/postgres/masking/masked-session.ts';
import { RequestMasks } from '../protocols/postgres/masking/requests/request-masks.ts';
import { ShownMasks } from '../protocols/postgres/masking/requests/shown-masks.ts';
import { maskStartup } from '../protocols/postgres/masking/requests/startup.ts';
import { StatementMasker } from '../protocols/postgres/masking/requests/statement-masker.ts';
import { ValueMaskers } from '../protocols/postgres/masking/requests/value-maskers.ts';
import type { Reading } from './layers.ts';
import type { StatementMasks } from './operations.ts';
import { readableSession } from './readable-session.ts';
import type { Recognised } from './recognise.ts';
import { strictMasks } from './strict-masks.ts';

/** One for all flows of a worker: what a text says depends on nothing else. */
const facts = new FactsCache();

/** What is known of a database's tables is asked again after that long, at the next pause of a session with it. */
const CATALOG_AGE_MAX_MS = 60_000;
/** Databases whose tables are remembered. */
const CATALOGS_MAX = 256;

export interface Masked {
  /** Null: there is nothing to read. */
  readonly reading: Reading | null;
  readonly counts: () => FlowMasks;
  /** What the agent began with, masked. */
  readonly recognised: Recognised | null;
  /** Null where nothing is masked in requests. */
  readonly statements: StatementMasks | null;
  /** For what people are shown of statements. */
  readonly shown: ShownMasks | null;
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
  const found = { masked: 0, observed: 0, denied: 0 };
  const counts = (): FlowMasks => ({ ...found });
  const asItIs: Masked = { reading: null, counts, recognised, statements: null, shown: null };
  if (opening === 'none') return asItIs;
  const onHits: OnHits = (hits) => {
    for (const { observed, count } of hits) found[observed ? 'observed' : 'masked'] += count;
  };
  const onDenied = (): void => {
    found.denied += 1;
  };
  let known = (): Catalog | null => null;
  const requests = maskRequests(options, onHits, onDenied, () => known());
  const masker = makeMasker(engine, masks, 'responses');
  if (masker === null && requests === null) return asItIs;
  const raw = requests === null ? opening.raw : maskStartup(opening.raw, requests.masker, onHits);
  const columns = columnsOf(masks, 'responses');
  const hasColumns = columns.rules.length > 0;
  const keeper = hasColumns ? catalogs.keeperOf(server, opening.database, columns) : null;
  const session = new MaskedSession({
    startupBytes: raw.length,
    masker,
    columns,
    factsOf: hasColumns ? facts.factsOf : facts.copiesOf,
    onHits,
    requests: requests?.session ?? null,
    keeper,
  });
  known = () => session.catalog;
  const { toServer, toAgent } = session;
  const all = makeMasker(engine, masks, 'any');
  return {
    counts,
    shown: all === null ? null : new ShownMasks(new ValueMaskers(all, columnsOf(masks, 'any'))),
    recognised:
      recognised?.protocol === 'postgres' ? { ...recognised, opening: { ...opening, raw } } : recognised,
    statements: statementMasks(
      strictMasks(masks, () => session.catalog),
      requests,
      onDenied,
    ),
    reading: { toServer, toAgent, questions: () => session.questions() },
  };
}

function columnsOf(masks: readonly CompiledMask[], direction: 'requests' | 'responses' | 'any'): ColumnRules {
  const own = masks.filter((mask) => direction === 'any' || masksDirection(mask, direction));
  return new ColumnRules(own.flatMap(({ columns }) => columns));
}

/** What may not pass is not rewritten either. */
function statementMasks(
  judge: ReturnType<typeof strictMasks>,
  requests: MaskedRequests | null,
  onDenied: () => void,
): StatementMasks | null {
  if (judge === null && requests === null) return null;
  return {
    rewrite: (text, name) => {
      const made = judge?.(text) ?? requests?.statements.rewrite(text, name) ?? null;
      if (made !== null && !Buffer.isBuffer(made)) onDenied();
      return made;
    },
    onRefused: onDenied,
    denials: requests?.denials ?? new Denials(),
  };
}

interface MaskedRequests {
  readonly masker: Masker;
  readonly statements: StatementMasker;
  readonly denials: Denials;
  readonly session: RequestMasks;
}

function maskRequests(
  { engine, masks }: MaskingOptions,
  onHits: OnHits,
  onDenied: () => void,
  known: () => Catalog | null,
): MaskedRequests | null {
  const masker = makeMasker(engine, masks, 'requests');
  if (masker === null) return null;
  const strict = masks.filter((mask) => mask.strict && mask.effect === 'mask');
  const maskers = new ValueMaskers(
    masker,
    columnsOf(masks, 'requests'),
    columnsOf(strict, 'requests'),
    known,
  );
  const denials = new Denials();
  return {
    masker,
    statements: new StatementMasker(maskers, onHits),
    denials,
    session: new RequestMasks(maskers, denials, onHits, onDenied),
  };
}

interface Known {
  catalog: Catalog | null;
  askedMs: number;
  failedMs: number;
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
      keep: (catalog) => this.#known.set(key, { catalog, askedMs: now(), failedMs: -Infinity }),
      failed: () => {
        const { catalog = null, askedMs = -Infinity } = this.#known.get(key) ?? {};
        this.#known.set(key, { catalog, askedMs, failedMs: now() });
      },
      mayAskAgain: () => now() - (this.#known.get(key)?.failedMs ?? -Infinity) > CATALOG_AGE_MAX_MS,
      expire: () => {
        const known = this.#known.get(key);
        if (known !== undefined) known.askedMs = -Infinity;
      },
    };
  }
}
