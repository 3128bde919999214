/**
 * A session in which masks hold: puts together what follows the agent's questions and masks what is in them, what masks the answers,
 * and what asks the database which columns are meant.
 */
import type { Masker, MaskHit, MaskStream } from '../../../mask/masker.ts';
import type { MessageRewriter } from '../message-rewriter.ts';
import type { Catalog, CatalogKeeper } from './catalog.ts';
import type { ColumnRules } from './column-rules.ts';
import { Exchange } from './exchange.ts';
import { LookUp } from './look-up.ts';
import type { RequestMasks } from './requests/request-masks.ts';
import { ToAgent } from './to-agent.ts';
import { ToServer } from './to-server.ts';
import type { StatementFacts } from './touch.ts';

export interface MaskedSessionOptions {
  /** Of the start-up packet, which goes before the first message. */
  readonly startupBytes: number;
  /** Of answers; null: they are not masked. */
  readonly masker: Masker | null;
  readonly columns: ColumnRules;
  readonly factsOf: (text: Buffer) => StatementFacts | null;
  readonly onHits: (hits: readonly MaskHit[]) => void;
  /** Null where nothing is masked in what the agent sends. */
  readonly requests?: RequestMasks | null;
  /** What is known of the database's tables; null where no mask names a column. */
  readonly keeper: CatalogKeeper | null;
}

export class MaskedSession {
  readonly toServer: MessageRewriter;
  readonly toAgent: MessageRewriter;
  /** Questions of Sluice's own that are to be sent to the server. */
  readonly #questions: Buffer[] = [];
  readonly #lookUp: LookUp | null;

  constructor(options: MaskedSessionOptions) {
    const { startupBytes, columns, factsOf, onHits, requests = null, keeper } = options;
    const exchange = new Exchange();
    const onlyFollows = options.masker === null;
    const masker = options.masker ?? NO_MASKS;
    const readsCalls = columns.rules.length > 0;
    const toServer = new ToServer({ startupBytes, exchange, readsCalls, onlyFollows, requests, factsOf });
    this.#lookUp =
      keeper === null
        ? null
        : new LookUp({
            rules: columns.rules,
            exchange,
            keeper,
            mayWrite: () => toServer.mayAsk,
            write: (bytes) => this.#questions.push(bytes),
          });
    this.toServer = toServer;
    const lookUp = this.#lookUp;
    this.toAgent = new ToAgent({ exchange, masker, columns, onHits, lookUp, requests, onlyFollows });
  }

  /** What is known of the database's tables now; null: nothing. */
  get catalog(): Catalog | null {
    return this.#lookUp?.catalog ?? null;
  }

  /** What is to be sent to the server now; nothing of the agent's may come before it. */
  questions(): readonly Buffer[] {
    return this.#questions.splice(0);
  }
}

const NO_STREAM: MaskStream = { push: (chunk) => chunk, end: () => new Uint8Array(0), hits: [] };

/** Leaves everything as it is. */
const NO_MASKS: Masker = {
  whole: null,
  value: () => null,
  stream: () => NO_STREAM,
  digest: () => new Uint8Array(0),
  column: () => null,
  cells: () => [],
};
