/**
 * A session in which masks hold for what the server answers: puts together what follows the agent's questions, what masks
 * the answers, and what asks the database which columns are meant.
 */
import type { Masker, MaskHit } from '../../../mask/masker.ts';
import type { MessageRewriter } from '../message-rewriter.ts';
import type { CatalogKeeper } from './catalog.ts';
import type { ColumnRules } from './column-rules.ts';
import { Exchange } from './exchange.ts';
import { LookUp } from './look-up.ts';
import { ToAgent } from './to-agent.ts';
import { ToServer } from './to-server.ts';
import type { StatementFacts } from './touch.ts';

export interface MaskedSessionOptions {
  /** Of the start-up packet, which goes before the first message. */
  readonly startupBytes: number;
  readonly masker: Masker;
  readonly columns: ColumnRules;
  readonly factsOf: (text: Buffer) => StatementFacts | null;
  readonly onHits: (hits: readonly MaskHit[]) => void;
  /** What is known of the database's tables; null where no mask names a column. */
  readonly keeper: CatalogKeeper | null;
}

export class MaskedSession {
  readonly toServer: MessageRewriter;
  readonly toAgent: MessageRewriter;
  /** Questions of Sluice's own that are to be sent to the server. */
  readonly #questions: Buffer[] = [];

  constructor({ startupBytes, masker, columns, factsOf, onHits, keeper }: MaskedSessionOptions) {
    const exchange = new Exchange();
    const toServer = new ToServer({ startupBytes, exchange, readsCalls: columns.rules.length > 0, factsOf });
    const lookUp =
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
    this.toAgent = new ToAgent({ exchange, masker, columns, onHits, lookUp });
  }

  /** What is to be sent to the server now; nothing of the agent's may come before it. */
  questions(): readonly Buffer[] {
    return this.#questions.splice(0);
  }
}
