/** A session in which requests are masked, as the proxy puts it together, without a proxy. */
import type { MaskEngine } from '#src/mask/engine.ts';
import { makeMasker } from '#src/mask/mask-set.ts';
import type { MaskHit } from '#src/mask/masker.ts';
import type { CompiledMask } from '#src/policy/types.ts';
import { ClassifyCache } from '#src/protocols/postgres/classify-cache.ts';
import { Denials } from '#src/protocols/postgres/denials.ts';
import { ColumnRules } from '#src/protocols/postgres/masking/column-rules.ts';
import { FactsCache } from '#src/protocols/postgres/masking/facts-cache.ts';
import { MaskedSession } from '#src/protocols/postgres/masking/masked-session.ts';
import { RequestMasks } from '#src/protocols/postgres/masking/requests/request-masks.ts';
import { StatementMasker } from '#src/protocols/postgres/masking/requests/statement-masker.ts';
import { ValueMaskers } from '#src/protocols/postgres/masking/requests/value-maskers.ts';
import { StatementGate } from '#src/protocols/postgres/statement-gate.ts';
import { authentication, message } from './postgres-packets.ts';

const classify = new ClassifyCache().classify;
const facts = new FactsCache();

export const text = (value: string): Buffer => Buffer.from(`${value}\0`);
export const READY: Buffer = message('Z', Buffer.from('I'));
const parameter = (name: string, value: string): Buffer => message('S', text(name), text(value));

export class Requests {
  readonly #gate: StatementGate;
  readonly #session: MaskedSession;
  readonly #hits: MaskHit[] = [];

  /** Past its start, under the server's usual settings and those that are given. */
  constructor(engine: MaskEngine, masks: readonly CompiledMask[], settings: Record<string, string> = {}) {
    const masker = makeMasker(engine, masks, 'requests');
    if (masker === null) throw new Error('no mask is for requests');
    const columns = new ColumnRules(masks.flatMap((mask) => mask.columns));
    const strict = new ColumnRules(masks.filter((mask) => mask.strict).flatMap((mask) => mask.columns));
    const maskers = new ValueMaskers(masker, columns, strict);
    const onHits = (hits: readonly MaskHit[]): void => void this.#hits.push(...hits);
    const denials = new Denials();
    const statements = new StatementMasker(maskers, onHits);
    this.#gate = new StatementGate({
      startupBytes: 0,
      classify,
      judge: () => null,
      mayHold: false,
      decide: () => null,
      onTerminate: () => undefined,
      onRefused: () => {},
      rewrite: (sql, name) => statements.rewrite(sql, name),
      callsPass: true,
      denials,
    });
    this.#session = new MaskedSession({
      startupBytes: 0,
      masker: makeMasker(engine, masks, 'responses'),
      columns: new ColumnRules([]),
      factsOf: facts.copiesOf,
      onHits,
      requests: new RequestMasks(maskers, denials, onHits, () => {}),
      keeper: null,
    });
    const start = { client_encoding: 'UTF8', standard_conforming_strings: 'on', ...settings };
    const said = Object.entries(start).map(([name, value]) => parameter(name, value));
    this.toAgent(authentication(0), ...said, READY);
  }

  /** What gets to the server of what the agent sends. */
  toServer(...chunks: readonly Uint8Array[]): Buffer {
    const out = chunks.flatMap((chunk) =>
      this.#gate.toServer.push(chunk).flatMap((part) => this.#session.toServer.push(part)),
    );
    return Buffer.concat(out);
  }

  toAgent(...chunks: readonly Uint8Array[]): Buffer {
    const out = chunks.flatMap((chunk) =>
      this.#gate.toAgent.push(chunk).flatMap((part) => this.#session.toAgent.push(part)),
    );
    return Buffer.concat(out);
  }

  get masked(): number {
    return this.#hits.filter(({ observed }) => !observed).reduce((sum, { count }) => sum + count, 0);
  }

  get observed(): number {
    return this.#hits.filter(({ observed }) => observed).reduce((sum, { count }) => sum + count, 0);
  }
}
