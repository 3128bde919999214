/**
 * Finds the session a CancelRequest is for. It comes by a connection of its own, which may be another worker's than the
 * session: workers share nothing, so the one that has the request asks the daemon, and that the others (daemon/cancel-relay.ts).
 * Who has the session answers; nobody need be told of sessions that nobody cancels, and a worker that is drained by this daemon
 * or the next answers as before.
 *
 * A guess costs each worker one look-up, and agents may make so many in a second.
 */
import type { Clock } from '../core/clock.ts';
import type { CancelKey } from '../protocols/postgres/cancel-key.ts';
import { type CancelKeys, type Cancellable, digestOf, type SessionPlace } from './cancel-keys.ts';
import { RateLimit } from './dns/rate-limit.ts';
import type { CancelAnswer, CancelQuestion } from './ipc.ts';
import { OpenQuestions } from './open-questions.ts';

/** Requests that wait for an answer; more have none. */
const MAX_WAITING = 1_024;
/**
 * Of one agent in one worker, twice as many at once. At this rate eight workers take a month to come to half of the keys
 * of protocol 3.0, for one process whose number is known.
 */
const PER_SECOND = 100;

export class CancelDesk {
  readonly #keys: CancelKeys;
  readonly #send: (message: CancelQuestion | CancelAnswer) => void;
  readonly #limit: RateLimit;
  readonly #open = new OpenQuestions<Cancellable>(MAX_WAITING);

  constructor(keys: CancelKeys, clock: Clock, send: (message: CancelQuestion | CancelAnswer) => void) {
    this.#keys = keys;
    this.#send = send;
    this.#limit = new RateLimit(clock, PER_SECOND);
  }

  /** The session of this place and key; null: there is none, or too much was asked. Never rejects. */
  readonly find = async (place: SessionPlace, request: CancelKey): Promise<Cancellable | null> => {
    if (this.#limit.take(place.agentId) !== 'granted') return null;
    const digest = digestOf(place, request);
    const ask = (question: number): void => this.#send({ type: 'cancel', question, digest });
    return this.#keys.cancel(digest) ?? (await this.#open.ask(digest, ask));
  };

  /** Another worker asks. */
  asked({ question, digest }: CancelQuestion): void {
    const found = this.#keys.cancel(digest);
    const session = found === null ? null : { key: found.key.toString('hex'), server: found.server };
    this.#send({ type: 'cancel-found', question, digest, session });
  }

  answered({ question, digest, session }: CancelAnswer): void {
    const found = session === null ? null : { ...session, key: Buffer.from(session.key, 'hex') };
    this.#open.answered(question, digest, found);
  }
}
