/**
 * Passes a worker's question about a PostgreSQL session that is to be cancelled to the other workers, and the answer of
 * the one that has it back. The daemon knows no key: what is asked is a digest, and what is answered goes through unread.
 *
 * Workers read hostile bytes, so what they say is checked, an answer counts only from who was asked, and questions are
 * bounded for each worker: one that floods has its own refused.
 */
import type { CancelAnswer, CancelQuestion } from '../proxy/ipc.ts';
import { isU32 } from './name-claim.ts';

type Claim = Readonly<Record<string, unknown>>;

/** A worker process. */
export interface Peer {
  /** Never given twice. */
  readonly key: number;
  send(message: CancelQuestion | CancelAnswer): void;
}

/** Less than the asker waits (TIMEOUT_MS of proxy/open-questions.ts). */
const TIMEOUT_MS = 900;
const MAX_OPEN_PER_PEER = 1_024;

const isDigest = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);

/** 4 to 256 bytes in hexadecimal. */
const isKey = (value: unknown): boolean =>
  typeof value === 'string' && /^(?:[0-9a-f]{2}){4,256}$/.test(value);

/** Host names and addresses are not longer. */
const isName = (value: unknown): boolean => typeof value === 'string' && value.length <= 255;

function isSession(value: unknown): boolean {
  if (value === null) return true;
  if (typeof value !== 'object' || !('key' in value) || !('server' in value)) return false;
  const { key, server } = value;
  if (!isKey(key) || typeof server !== 'object' || server === null) return false;
  const { port, name, dnsName }: Claim = { ...server };
  return isU32(port) && port <= 65_535 && isName(name) && (dnsName === null || isName(dnsName));
}

export function isCancelQuestion(claim: Claim): claim is Claim & CancelQuestion {
  const { type, question, digest } = claim;
  return type === 'cancel' && isU32(question) && isDigest(digest);
}

export function isCancelAnswer(claim: Claim): claim is Claim & CancelAnswer {
  const { type, question, digest, session } = claim;
  return type === 'cancel-found' && isU32(question) && isDigest(digest) && isSession(session);
}

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
  readonly #open = new Map<number, Open>();
  /** How many of each peer's are open. */
  readonly #counts = new Map<number, number>();
  #next = 0;

  /** @param peers all that may have sessions and can answer now */
  constructor(peers: () => readonly Peer[]) {
    this.#peers = peers;
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
    const timer = setTimeout(() => this.#settle(number, null), TIMEOUT_MS);
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
