/**
 * Passes a worker's question about a PostgreSQL session that is to be cancelled to the other workers, and the answer of
 * the one that has it back. The daemon knows no key: what is asked is a digest, and what is answered goes through unread.
 *
 * Workers read hostile bytes, so what they say is checked, an answer counts only from who was asked, and questions are
 * bounded for each worker: one that floods has its own refused.
 */
import { is, isHex, isPort, isText, isU32, orNull, shape } from '../core/claim.ts';
import type { CancelAnswer, CancelQuestion } from '../proxy/ipc.ts';

/** A worker process. */
export interface Peer {
  /** Never given twice. */
  readonly key: number;
  send(message: CancelQuestion | CancelAnswer): void;
}

/** Less than the asker waits (TIMEOUT_MS of proxy/open-questions.ts). */
const TIMEOUT_MS = 4_500;
const MAX_OPEN_PER_PEER = 1_024;

/** Host names and addresses are not longer. */
const isName = isText(255);
const isDigest = isHex(32, 32);

export const isCancelQuestion = shape<CancelQuestion>({
  type: is('cancel'),
  question: isU32,
  digest: isDigest,
});

export const isCancelAnswer = shape<CancelAnswer>({
  type: is('cancel-found'),
  question: isU32,
  digest: isDigest,
  session: orNull(
    shape<NonNullable<CancelAnswer['session']>>({
      key: isHex(4, 256),
      server: shape<NonNullable<CancelAnswer['session']>['server']>({
        port: isPort,
        name: isName,
        dnsName: orNull(isName),
      }),
    }),
  ),
});

interface Open {
  readonly asker: Peer;
  readonly question: number;
  readonly digest: string;
  /** Who has not answered yet. */
  readonly asked: Set<number>;
  readonly timer: NodeJS.Timeout;
}

export class CancelRelay {
  readonly #peers: () => readonly Peer[];
  readonly #timeoutMs: number;
  readonly #open = new Map<number, Open>();
  /** How many of each peer's are open. */
  readonly #counts = new Map<number, number>();
  #next = 0;

  /** @param peers all that may have sessions and can answer now */
  constructor(peers: () => readonly Peer[], timeoutMs = TIMEOUT_MS) {
    this.#peers = peers;
    this.#timeoutMs = timeoutMs;
  }

  asked(asker: Peer, { question, digest }: CancelQuestion): void {
    const others = this.#peers().filter(({ key }) => key !== asker.key);
    const count = this.#counts.get(asker.key) ?? 0;
    if (others.length === 0 || count >= MAX_OPEN_PER_PEER) {
      asker.send({ type: 'cancel-found', question, digest, session: null });
      return;
    }
    const number = this.#next;
    this.#next = (this.#next + 1) >>> 0;
    const timer = setTimeout(() => this.#settle(number, null), this.#timeoutMs);
    const asked = new Set(others.map(({ key }) => key));
    this.#open.set(number, { asker, question, digest, asked, timer });
    this.#counts.set(asker.key, count + 1);
    for (const other of others) other.send({ type: 'cancel', question: number, digest });
  }

  answered(peer: Peer, { question, digest, session }: CancelAnswer): void {
    const open = this.#open.get(question);
    if (open?.digest !== digest || !open.asked.delete(peer.key)) return;
    if (session !== null || open.asked.size === 0) this.#settle(question, session);
  }

  /** It has ended: nothing more is to be expected of it, nor to be told to it. */
  gone(peer: Peer): void {
    for (const [number, open] of this.#open) {
      if (open.asker.key === peer.key || (open.asked.delete(peer.key) && open.asked.size === 0))
        this.#settle(number, null);
    }
  }

  #settle(number: number, session: CancelAnswer['session']): void {
    const open = this.#open.get(number);
    if (open === undefined) return;
    clearTimeout(open.timer);
    this.#open.delete(number);
    const left = (this.#counts.get(open.asker.key) ?? 1) - 1;
    if (left === 0) this.#counts.delete(open.asker.key);
    else this.#counts.set(open.asker.key, left);
    open.asker.send({ type: 'cancel-found', question: open.question, digest: open.digest, session });
  }
}
