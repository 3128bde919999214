/**
 * TLS sessions that may be resumed, so that the second connection to a server costs no certificate check
 * and no signature.
 *
 * A resumed handshake does not show a certificate, hence the rules: a session is found only under the very
 * destination, verified name, address and port it was made for; it is forgotten when the certificate it
 * stood on expires, or after `MAX_AGE_MS`, so that a server is looked at afresh; the whole is bounded.
 */

import { BoundedMap } from '../core/bounded-map.ts';

/** A session is at most this old when used: bounds how long a withdrawn certificate goes unnoticed. */
export const MAX_AGE_MS = 3_600_000;
/** Servers honour a ticket for 300 s (nginx, PostgreSQL's OpenSSL) or longer; renewed well before. */
export const RENEW_AFTER_MS = 60_000;
/** About 2 MiB at the usual 2 KiB per session; more servers than this just handshake in full. */
const MAX_ENTRIES = 1024;
/** A ticket can be 64 KiB by RFC 8446 §4.6.1; servers send a few hundred bytes. Larger is not kept. */
export const MAX_SESSION_BYTES = 16_384;

/** What a full handshake proved, to be said again of the flows that resume it. */
export interface PeerProof {
  /** SHA-256 of the server's certificate, lower-case hex. */
  readonly sha256: string;
  /** When the certificate expires, milliseconds since the epoch. */
  readonly notAfter: number;
  /** Key-exchange group the server chose when it had the choice; null if that is not known. */
  readonly group: string | null;
}

export interface ResumableSession {
  readonly session: Buffer;
  readonly proof: PeerProof;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** When this ticket was taken, milliseconds since the epoch. */
  readonly keptAt: number;
}

export class ResumptionCache {
  readonly #entries: BoundedMap<string, ResumableSession>;
  readonly #now: () => number;

  constructor(options: { readonly now?: () => number; readonly maxEntries?: number } = {}) {
    this.#now = options.now ?? Date.now;
    this.#entries = new BoundedMap(options.maxEntries ?? MAX_ENTRIES);
  }

  get size(): number {
    return this.#entries.size;
  }

  find(key: string): ResumableSession | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    if (entry.expiresAt > this.#now()) return entry;
    this.#entries.delete(key);
    return null;
  }

  /** Whether a newer ticket is wanted in place of this one. Taking one costs a copy and a callback for each flow. */
  isAged(entry: ResumableSession): boolean {
    return this.#now() - entry.keptAt > RENEW_AFTER_MS;
  }

  /**
   * Keeps the newest session under `key`. A session that came of a resumed handshake (`since`) ages from
   * the full handshake it goes back to: resuming for ever must not put off the next look at the certificate.
   */
  keep(key: string, session: Buffer, proof: PeerProof, resumedFrom: ResumableSession | null): void {
    if (session.length > MAX_SESSION_BYTES) return;
    const keptAt = this.#now();
    const expiresAt = resumedFrom?.expiresAt ?? Math.min(proof.notAfter, keptAt + MAX_AGE_MS);
    this.#entries.set(key, { session, proof, expiresAt, keptAt });
  }

  forget(key: string): void {
    this.#entries.delete(key);
  }
}
