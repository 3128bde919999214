/**
 * The keys by which agents cancel queries of a worker's PostgreSQL sessions. An agent gets a key of Sluice's own; the
 * server's stays here, so that whoever sees or guesses one cannot go to the server with it.
 *
 * A session is found by a digest over everything that must be the same: agent, network namespace, address, port, process, key.
 * So a foreign key, a wrong one and one of a session that has ended are the same miss, after the same work, and a look-up
 * by digest tells nothing of the key by the time it takes. The process's number stays the server's: programs compare it
 * with `pg_backend_pid()` and with the sender of a notification.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { FlowFacts } from '../kernel/facts.ts';
import type { CancelKey } from '../protocols/postgres/cancel-key.ts';

/** Whose session it is and what the agent asked for. A cancel request counts only from there to there. */
export type SessionPlace = Pick<FlowFacts, 'agentId' | 'netnsCookie' | 'dstIp' | 'dstPort'>;

/** The server of a session: a request to cancel goes to this one or to none. */
export interface SessionServer {
  readonly port: number;
  /** By which it was verified. */
  readonly name: string;
  /**
   * What the agent had resolved when the session began; null where policy did not ask. Requests to cancel resolve nothing, and
   * what was resolved is soon forgotten.
   */
  readonly dnsName: string | null;
}

export interface Cancellable {
  /** The server's. */
  readonly key: Buffer;
  readonly server: SessionServer;
}

/** 64 hexadecimal digits. */
export function digestOf(place: SessionPlace, { processId, key }: CancelKey): string {
  const { agentId, netnsCookie, dstIp, dstPort } = place;
  const what = [agentId, String(netnsCookie), dstIp, dstPort, processId, key.toString('hex')];
  return createHash('sha256').update(JSON.stringify(what)).digest('hex');
}

interface Issued extends Cancellable {
  /** What of the session has not got to the server yet does not need to. */
  readonly onCancel: () => void;
}

/** As many as there are sessions, of which a worker's number is bounded. */
export class CancelKeys {
  readonly #sessions = new Map<string, Issued>();

  get size(): number {
    return this.#sessions.size;
  }

  /** Takes the server's key and makes the agent's, of the same length: what the length may be, the protocol's version says. */
  issue(
    place: SessionPlace,
    server: SessionServer,
    { processId, key }: CancelKey,
    onCancel: () => void,
  ): { readonly key: Buffer; readonly digest: string } {
    const issued = randomBytes(key.length);
    const digest = digestOf(place, { processId, key: issued });
    this.#sessions.set(digest, { key: Buffer.from(key), server, onCancel });
    return { key: issued, digest };
  }

  withdraw(digest: string): void {
    this.#sessions.delete(digest);
  }

  /** The session that is to be cancelled, which is told: what the server cannot cancel may wait here. */
  cancel(digest: string): Cancellable | null {
    const found = this.#sessions.get(digest);
    if (found === undefined) return null;
    found.onCancel();
    const { key, server } = found;
    return { key, server };
  }
}

type Find = (place: SessionPlace, request: CancelKey) => Promise<Cancellable | null>;

/** One flow's part: the key it gives its agent, or the request to cancel that it carries. */
export class FlowCancels {
  readonly #keys: CancelKeys;
  readonly #place: SessionPlace;
  readonly #find: Find;
  #digest: string | null = null;
  /** Called when the agent asks to cancel what it waits for in this session. */
  onCancel: () => void = ignore;

  constructor(keys: CancelKeys, place: SessionPlace, find: Find) {
    this.#keys = keys;
    this.#place = place;
    this.#find = find;
  }

  /** What the agent is told instead of this key. A session has one: the last. */
  issue(server: SessionServer, key: CancelKey): Buffer {
    this.end();
    const issued = this.#keys.issue(this.#place, server, key, () => this.onCancel());
    this.#digest = issued.digest;
    return issued.key;
  }

  /** The session that is to be cancelled; null: this agent has none such there. */
  find(request: CancelKey): Promise<Cancellable | null> {
    return this.#find(this.#place, request);
  }

  /** The session is over. */
  end(): void {
    if (this.#digest !== null) this.#keys.withdraw(this.#digest);
    this.#digest = null;
  }
}

function ignore(): void {
  // Nothing of the session waits here.
}
