/**
 * Gets an agent's question answered by the resolvers of the policy: the one the agent asked first if it is one of
 * them, then the others.
 *
 * By datagram; by TCP where the answer says it was cut, or where datagrams brought nothing. What a resolver could not
 * or would not answer, the next is asked; what none answers is a failure, not silence.
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { ProtocolError } from '../../core/protocol-error.ts';
import type { Question } from '../../protocols/dns/answer.ts';
import { RCODE } from '../../protocols/dns/codes.ts';
import { mixCase } from '../../protocols/dns/name.ts';
import type { Query } from '../../protocols/dns/query.ts';
import { encodeQuestion } from '../../protocols/dns/write.ts';
import { type Answered, type Attempt, askByDatagram, askByTcp, DNS_PORT, NoAnswer } from './exchange.ts';

/** Resolvers' clients ask again after five seconds. */
const DEADLINE_MS = 4_500;
const ATTEMPT_MS = 1_500;
const MAX_SERVERS = 3;

export interface ResolverOptions {
  readonly clock: Clock;
  /** Default: 53. */
  readonly port?: number;
  readonly attemptMs?: number;
  readonly deadlineMs?: number;
}

export interface Resolution extends Answered {
  readonly server: string;
}

type Way = (attempt: Attempt) => Promise<Answered>;

export class ResolverClient {
  readonly #clock: Clock;
  readonly #port: number;
  readonly #attemptMs: number;
  readonly #deadlineMs: number;

  constructor({ clock, port = DNS_PORT, attemptMs = ATTEMPT_MS, deadlineMs = DEADLINE_MS }: ResolverOptions) {
    this.#clock = clock;
    this.#port = port;
    this.#attemptMs = attemptMs;
    this.#deadlineMs = deadlineMs;
  }

  /** @param asked address the agent asked @throws NoAnswer, ProtocolError: what the last of them came to */
  async ask(resolvers: readonly string[], asked: string, query: Query): Promise<Resolution> {
    const deadlineMs = this.#clock.monotonic() + this.#deadlineMs;
    const servers = [
      ...resolvers.filter((address) => address === asked),
      ...resolvers.filter((address) => address !== asked),
    ].slice(0, MAX_SERVERS);
    const [first] = servers;
    if (first === undefined) throw new NoAnswer('there is no resolver to ask');
    let unwilling: Resolution | null = null;
    let failure: unknown = new NoAnswer('no resolver answered in time');
    const ways: (readonly [string, Way])[] = servers.map((server) => [server, askByDatagram] as const);
    for (const [server, way] of [...ways, [first, askByTcp] as const]) {
      if (unwilling !== null && way === askByTcp) break;
      try {
        const resolution = await this.#askOne(server, way, query, deadlineMs);
        if (!isUnwilling(resolution.answer.rcode)) return resolution;
        unwilling = resolution;
      } catch (error) {
        if (!(error instanceof NoAnswer) && !(error instanceof ProtocolError)) throw error;
        failure = error;
      }
    }
    if (unwilling !== null) return unwilling;
    throw failure;
  }

  async #askOne(server: string, way: Way, query: Query, deadlineMs: number): Promise<Resolution> {
    const answered = await way(this.#attempt(server, query, deadlineMs));
    if (!answered.answer.truncated) return { ...answered, server };
    if (way === askByTcp) throw new NoAnswer(`${server} cut its answer where there is no limit`);
    const whole = await askByTcp(this.#attempt(server, query, deadlineMs));
    if (whole.answer.truncated) throw new NoAnswer(`${server} cut its answer where there is no limit`);
    return { ...whole, server };
  }

  /** Under a new id and spelling each time. */
  #attempt(server: string, query: Query, deadlineMs: number): Attempt {
    const left = deadlineMs - this.#clock.monotonic();
    if (left <= 0) throw new NoAnswer('no resolver answered in time');
    const random = randomBytes(2 + Math.ceil(query.name.length / 8));
    const question: Question = {
      id: random.readUInt16BE(0),
      name: mixCase(query.name, random.subarray(2)),
      type: query.type,
    };
    const timeoutMs = Math.min(left, this.#attemptMs);
    return { server, port: this.#port, timeoutMs, question, message: encodeQuestion(question, query) };
  }
}

/** Another resolver may know, or be willing. Codes beyond four bits speak of EDNS between it and us. */
function isUnwilling(rcode: number): boolean {
  return rcode !== RCODE.NOERROR && rcode !== RCODE.NXDOMAIN;
}
