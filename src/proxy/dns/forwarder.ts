/**
 * Answers agents' questions: judged by policy and rate, put to the policy's resolvers, and remembered as what this agent
 * means by the addresses it got, before the agent has them.
 *
 * Owns no socket of an agent's. Both sides are hostile: the agent's bytes never go out, the resolver's never in, without
 * having been read.
 */
import type { Clock } from '../../core/clock.ts';
import { normaliseDnsName, normaliseIp } from '../../core/dns-name.ts';
import { ProtocolError } from '../../core/protocol-error.ts';
import type { FlowFacts } from '../../kernel/facts.ts';
import { DnsNames, type DnsPolicy } from '../../policy/dns-names.ts';
import { EXTENDED_ERROR, RCODE, rcodeName, typeName } from '../../protocols/dns/codes.ts';
import { nameText } from '../../protocols/dns/name.ts';
import { type Query, QueryError, readQuery } from '../../protocols/dns/query.ts';
import { encodeAnswer, encodeRefusal, encodeUnread, type Transport } from '../../protocols/dns/write.ts';
import type { Outcome } from './dns-report.ts';
import { NoAnswer } from './exchange.ts';
import { NameMemory } from './name-memory.ts';
import { RateLimit } from './rate-limit.ts';
import type { Resolution, ResolverClient } from './resolver-client.ts';

/** Questions under way. Each holds a socket for at most a few seconds. */
const MAX_PENDING = 1024;
const MAX_PENDING_PER_AGENT = 256;
/** As long as the longest name of plain letters: longer texts are of escapes. */
const MAX_NAME_TEXT = 253;

export interface Handled {
  /** Null: not a question; nothing is answered. */
  readonly reply: Buffer | null;
  /** Null: one of a flood, of which the first was told. */
  readonly outcome: Outcome | null;
}

export interface DnsCounters {
  readonly questions: number;
  readonly answered: number;
  readonly refused: number;
  readonly limited: number;
  readonly failed: number;
}

type Ending = Pick<Outcome, 'verdict' | 'reason' | 'detail'>;

export class Forwarder {
  readonly memory: NameMemory;
  readonly #client: ResolverClient;
  readonly #rate: RateLimit;
  readonly #pending = new Map<number, number>();
  readonly #counts = { questions: 0, answered: 0, refused: 0, limited: 0, failed: 0 };
  #pendingInAll = 0;
  #policy: DnsPolicy;
  #names: DnsNames;

  constructor(clock: Clock, client: ResolverClient, policy: DnsPolicy) {
    this.memory = new NameMemory(clock, policy.nameLife);
    this.#client = client;
    this.#rate = new RateLimit(clock, policy.queriesPerSecond);
    this.#policy = policy;
    this.#names = new DnsNames(policy);
  }

  get policy(): DnsPolicy {
    return this.#policy;
  }

  setPolicy(policy: DnsPolicy): void {
    this.#policy = policy;
    this.#names = new DnsNames(policy);
    this.#rate.perSecond = policy.queriesPerSecond;
    this.memory.life = policy.nameLife;
  }

  counters(): DnsCounters {
    return { ...this.#counts };
  }

  async handle(bytes: Buffer, facts: FlowFacts, transport: Transport): Promise<Handled> {
    this.#counts.questions += 1;
    let query: Query;
    try {
      query = readQuery(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return this.#unread(bytes, facts, error);
    }
    const rate = this.#rate.take(facts.agentId);
    if (rate !== 'granted') return this.#limited(bytes, query, rate === 'told');
    const name = nameText(query.name);
    // Names no host can have (`_dmarc` can) fit no pattern, and are nobody's to ask where names are bounded.
    if (!this.#names.mayAsk(facts.agentId, normaliseDnsName(name) ?? name)) {
      this.#counts.refused += 1;
      const reply = encodeRefusal(query, RCODE.NXDOMAIN, EXTENDED_ERROR.PROHIBITED);
      const detail = `${typeName(query.type)}: no rule lets the agent ask for this name`;
      return handled(bytes, query, reply, { verdict: 'deny', reason: 'no_rule', detail });
    }
    return this.#resolve(bytes, query, facts, transport);
  }

  /** Floods of what cannot be read count against the agent as well. */
  #unread(bytes: Buffer, facts: FlowFacts, error: ProtocolError): Handled {
    this.#counts.refused += 1;
    const rate = this.#rate.take(facts.agentId);
    const reply = error instanceof QueryError ? encodeUnread(bytes, error.rcode) : null;
    const ending: Ending = { verdict: 'deny', reason: 'protocol_error', detail: error.message };
    return rate === 'limited' ? { reply: null, outcome: null } : handled(bytes, null, reply, ending);
  }

  #limited(bytes: Buffer, query: Query, told: boolean): Handled {
    this.#counts.limited += 1;
    const reply = encodeRefusal(query, RCODE.REFUSED, EXTENDED_ERROR.PROHIBITED);
    if (!told) return { reply, outcome: null };
    const detail = `the agent asks more than ${this.#policy.queriesPerSecond} questions a second`;
    return handled(bytes, query, reply, { verdict: 'deny', reason: 'overloaded', detail });
  }

  async #resolve(bytes: Buffer, query: Query, facts: FlowFacts, transport: Transport): Promise<Handled> {
    const own = this.#pending.get(facts.agentId) ?? 0;
    if (this.#pendingInAll >= MAX_PENDING || own >= MAX_PENDING_PER_AGENT) {
      this.#counts.limited += 1;
      const reply = encodeRefusal(query, RCODE.SERVFAIL, EXTENDED_ERROR.PROHIBITED);
      const detail = `${own} questions of the agent wait for an answer`;
      return handled(bytes, query, reply, { verdict: 'error', reason: 'overloaded', detail });
    }
    this.#pendingInAll += 1;
    this.#pending.set(facts.agentId, own + 1);
    try {
      const resolution = await this.#client.ask(this.#policy.resolvers, facts.dstIp, query);
      return this.#answered(bytes, query, facts, transport, resolution);
    } catch (error) {
      return this.#failed(bytes, query, error);
    } finally {
      this.#pendingInAll -= 1;
      const left = (this.#pending.get(facts.agentId) ?? 1) - 1;
      if (left === 0) this.#pending.delete(facts.agentId);
      else this.#pending.set(facts.agentId, left);
    }
  }

  #answered(
    bytes: Buffer,
    query: Query,
    facts: FlowFacts,
    transport: Transport,
    { answer, bytes: answerBytes, server }: Resolution,
  ): Handled {
    this.#counts.answered += 1;
    const name = normaliseDnsName(nameText(query.name));
    const { addresses, ttlSeconds, rcode } = answer;
    if (name !== null && rcode === RCODE.NOERROR)
      this.memory.remember(facts.agentId, name, addresses.map(addressText), ttlSeconds);
    const count = addresses.length === 1 ? '1 address' : `${addresses.length} addresses`;
    const detail = `${typeName(query.type)} from ${server}: ${rcodeName(rcode)}, ${count}`;
    const reply = encodeAnswer(query, answer, answerBytes, transport);
    return handled(bytes, query, reply, { verdict: 'allow', reason: 'ok', detail });
  }

  #failed(bytes: Buffer, query: Query, error: unknown): Handled {
    if (!(error instanceof NoAnswer) && !(error instanceof ProtocolError)) throw error;
    this.#counts.failed += 1;
    const lied = error instanceof ProtocolError;
    const extended = lied ? EXTENDED_ERROR.INVALID_DATA : EXTENDED_ERROR.NETWORK_ERROR;
    const why = lied ? `the answer was refused: ${error.message}` : error.message;
    const detail = `${typeName(query.type)}: ${why}`;
    const reply = encodeRefusal(query, RCODE.SERVFAIL, extended);
    return handled(bytes, query, reply, { verdict: 'error', reason: 'dns_failed', detail });
  }
}

function handled(bytes: Buffer, query: Query | null, reply: Buffer | null, ending: Ending): Handled {
  const name = query === null ? null : nameText(query.name).slice(0, MAX_NAME_TEXT);
  return { reply, outcome: { ...ending, name, bytesIn: bytes.length, bytesOut: reply?.length ?? 0 } };
}

/** In the one form addresses have everywhere in Sluice. */
function addressText(address: Buffer): string {
  if (address.length === 4) return address.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => address.readUInt16BE(index * 2).toString(16));
  return normaliseIp(groups.join(':')) ?? '';
}
