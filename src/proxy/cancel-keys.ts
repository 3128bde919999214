/**
 * The keys by which agents cancel queries of a worker's PostgreSQL sessions. An agent gets a key of Sluice's own; the
 * server's stays here, so that whoever sees or guesses one cannot go to the server with it.
 *
 * A session is found by a digest over everything that must be the same: agent, network namespace, server, process, key.
 * So a foreign key, a wrong one and one of a session that has ended are the same miss, after the same work, and a look-up
 * by digest tells nothing of the key by the time it takes. The process's number stays the server's: programs compare it
 * with `pg_backend_pid()` and with the sender of a notification.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { FlowFacts } from '../kernel/facts.ts';
import type { Granted } from '../policy/types.ts';
import type { CancelKey } from '../protocols/postgres/cancel-key.ts';

/** Whose session it is and with which server. A cancel request counts only from there to there. */
export interface SessionPlace {
  readonly agentId: number;
  readonly netnsCookie: bigint;
  /** Address the agent asked for, the port and the name it was led to. */
  readonly ip: string;
  readonly port: number;
  readonly serverName: string;
}

export function placeOf({ agentId, netnsCookie, dstIp }: FlowFacts, grant: Granted): SessionPlace {
  const serverName = grant.serverName?.name ?? '';
  return { agentId, netnsCookie, ip: dstIp, port: grant.upstreamPort, serverName };
}

/** 64 hexadecimal digits. */
export function digestOf(place: SessionPlace, { processId, key }: CancelKey): string {
  const { agentId, netnsCookie, ip, port, serverName } = place;
  const what = [agentId, String(netnsCookie), ip, port, serverName, processId, key.toString('hex')];
  return createHash('sha256').update(JSON.stringify(what)).digest('hex');
}

/** As many as there are sessions, of which a worker's number is bounded. */
export class CancelKeys {
  readonly #servers = new Map<string, Buffer>();

  get size(): number {
    return this.#servers.size;
  }

  /** Takes the server's key and makes the agent's, of the same length: what the length may be, the protocol's version says. */
  issue(
    place: SessionPlace,
    { processId, key }: CancelKey,
  ): { readonly key: Buffer; readonly digest: string } {
    const issued = randomBytes(key.length);
    const digest = digestOf(place, { processId, key: issued });
    this.#servers.set(digest, Buffer.from(key));
    return { key: issued, digest };
  }

  withdraw(digest: string): void {
    this.#servers.delete(digest);
  }

  /** The server's key. */
  find(digest: string): Buffer | null {
    return this.#servers.get(digest) ?? null;
  }
}

/** One flow's part: the key it gives its agent, or the request to cancel that it carries. */
export class FlowCancels {
  readonly #keys: CancelKeys;
  readonly #place: SessionPlace;
  readonly #translate: (place: SessionPlace, request: CancelKey) => Promise<Buffer | null>;
  #digest: string | null = null;

  constructor(
    keys: CancelKeys,
    place: SessionPlace,
    translate: (place: SessionPlace, request: CancelKey) => Promise<Buffer | null>,
  ) {
    this.#keys = keys;
    this.#place = place;
    this.#translate = translate;
  }

  /** What the agent is told instead of this key. A session has one: the last. */
  issue(key: CancelKey): Buffer {
    this.end();
    const issued = this.#keys.issue(this.#place, key);
    this.#digest = issued.digest;
    return issued.key;
  }

  /** The server's key for the agent's; null: this agent has no such session there. */
  translate(request: CancelKey): Promise<Buffer | null> {
    return this.#translate(this.#place, request);
  }

  /** The session is over. */
  end(): void {
    if (this.#digest !== null) this.#keys.withdraw(this.#digest);
    this.#digest = null;
  }
}
