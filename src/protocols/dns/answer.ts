/**
 * A resolver's answer, read whole or refused: whoever sent it may be lying, and what it says becomes the name by
 * which servers are verified.
 *
 * Believed is only what answers the question: records of names on the chain of aliases that begins at the name that
 * was asked for, and addresses at its end. An answer that holds others is refused as a whole.
 */
import { ProtocolError } from '../../core/protocol-error.ts';
import { CLASS_IN, FLAG, HEADER_BYTES, TYPE } from './codes.ts';
import { isWithin, nameKey, readName } from './name.ts';

/** As sent to the resolver; the answer must repeat all of it. */
export interface Question {
  readonly id: number;
  /** With the case it was sent in. */
  readonly name: Buffer;
  readonly type: number;
}

export interface Answer {
  readonly rcode: number;
  readonly truncated: boolean;
  readonly authoritative: boolean;
  readonly recursionAvailable: boolean;
  readonly authenticData: boolean;
  readonly answers: number;
  readonly authorities: number;
  /** Where the authority section ends; what follows is between the resolver and us. */
  readonly end: number;
  /** 4 or 16 bytes each: what the name that was asked for leads to, of the type that was asked for. */
  readonly addresses: readonly Buffer[];
  /** Shortest life of what led to the addresses, seconds. */
  readonly ttlSeconds: number;
}

/** Aliases followed; resolvers themselves give up at about as many. */
const CHAIN_MAX = 16;

interface ResourceRecord {
  readonly owner: string;
  readonly type: number;
  readonly ttl: number;
  readonly data: Buffer;
  /** Of the types that lead on to another name. */
  readonly target: string | null;
}

/** Whether these bytes answer this question at all; if not, they are somebody's guess and to be ignored. */
export function isAnswerTo(bytes: Buffer, { id, name, type }: Question): boolean {
  const end = HEADER_BYTES + name.length;
  if (bytes.length < end + 4 || bytes.readUInt16BE(0) !== id) return false;
  if ((bytes.readUInt16BE(2) & (FLAG.RESPONSE | FLAG.OPCODE)) !== FLAG.RESPONSE) return false;
  if (bytes.readUInt16BE(4) !== 1 || !bytes.subarray(HEADER_BYTES, end).equals(name)) return false;
  return bytes.readUInt16BE(end) === type && bytes.readUInt16BE(end + 2) === CLASS_IN;
}

/** Reads what `isAnswerTo` the question. @throws ProtocolError */
export function readAnswer(bytes: Buffer, question: Question): Answer {
  const flags = bytes.readUInt16BE(2);
  const head = {
    truncated: (flags & FLAG.TRUNCATED) !== 0,
    authoritative: (flags & FLAG.AUTHORITATIVE) !== 0,
    recursionAvailable: (flags & FLAG.RECURSION_AVAILABLE) !== 0,
    authenticData: (flags & FLAG.AUTHENTIC_DATA) !== 0,
  };
  const rcode = flags & FLAG.RCODE;
  const behindQuestion = HEADER_BYTES + question.name.length + 4;
  // Cut anywhere, it is only good for asking again.
  if (head.truncated)
    return { ...head, rcode, answers: 0, authorities: 0, end: behindQuestion, addresses: [], ttlSeconds: 0 };
  const reader = new RecordReader(bytes, behindQuestion);
  const [answers, authorities, additional] = [6, 8, 10].map((at) => bytes.readUInt16BE(at)) as [
    number,
    number,
    number,
  ];
  const records = reader.section(answers);
  for (const { type } of [...records, ...reader.section(authorities)])
    if (type === TYPE.OPT) throw malformed('EDNS in a wrong section');
  const end = reader.at;
  const extended = extendedRcode(reader.section(additional));
  if (reader.at !== bytes.length) throw malformed('bytes behind the last record');
  const { addresses, ttlSeconds } = follow(records, question);
  return { ...head, rcode: (extended << 4) | rcode, answers, authorities, end, addresses, ttlSeconds };
}

class RecordReader {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  section(count: number): ResourceRecord[] {
    return Array.from({ length: count }, () => this.#record());
  }

  #record(): ResourceRecord {
    const bytes = this.#bytes;
    const { wire, end } = readName(bytes, this.at, 'server');
    if (bytes.length < end + 10) throw malformed('a record is cut short');
    const type = bytes.readUInt16BE(end);
    const ttl = bytes.readUInt32BE(end + 4);
    const start = end + 10;
    const stop = start + bytes.readUInt16BE(end + 8);
    if (stop > bytes.length) throw malformed('a record is cut short');
    if (type === TYPE.OPT) {
      if (wire.length !== 1) throw malformed('EDNS under a name');
    } else if (bytes.readUInt16BE(end + 2) !== CLASS_IN) throw malformed('a class other than IN');
    this.at = stop;
    const target = this.#checkData(type, start, stop);
    return { owner: nameKey(wire), type, ttl, data: bytes.subarray(start, stop), target };
  }

  /** Types whose data may hold compressed names are read to their end, so that the agent need not meet a loop. */
  #checkData(type: number, start: number, stop: number): string | null {
    const length = stop - start;
    switch (type) {
      case TYPE.A:
        if (length !== 4) throw malformed('an address of another length');
        return null;
      case TYPE.AAAA:
        if (length !== 16) throw malformed('an address of another length');
        return null;
      case TYPE.CNAME:
      case TYPE.DNAME:
      case TYPE.NS:
      case TYPE.PTR:
        return this.#names(start, stop, 0, 1, 0);
      case TYPE.MX:
        return this.#names(start, stop, 2, 1, 0);
      case TYPE.SRV:
        return this.#names(start, stop, 6, 1, 0);
      case TYPE.SOA:
        return this.#names(start, stop, 0, 2, 20);
      default:
        return null;
    }
  }

  /** `count` names between `before` and `after` bytes of other data, filling the record; the first of them. */
  #names(start: number, stop: number, before: number, count: number, after: number): string {
    // What lies behind the record is no part of it.
    const within = this.#bytes.subarray(0, stop);
    let at = start + before;
    let first: string | null = null;
    for (let index = 0; index < count; index += 1) {
      const { wire, end } = readName(within, at, 'server');
      first ??= nameKey(wire);
      at = end;
    }
    if (at + after !== stop) throw malformed('a record of another length than its names');
    return first ?? '';
  }
}

/** The upper bits of the response code, in the TTL of EDNS (RFC 6891 §6.1.3). */
function extendedRcode(additional: readonly ResourceRecord[]): number {
  const [edns, ...more] = additional.filter(({ type }) => type === TYPE.OPT);
  if (more.length > 0) throw malformed('EDNS twice');
  return edns === undefined ? 0 : edns.ttl >>> 24;
}

/** From the name that was asked for along its aliases to the addresses at their end. */
function follow(
  records: readonly ResourceRecord[],
  question: Question,
): Pick<Answer, 'addresses' | 'ttlSeconds'> {
  const aliases = new Map<string, ResourceRecord>();
  for (const record of records) {
    if (record.type !== TYPE.CNAME) continue;
    if (aliases.has(record.owner)) throw malformed('two aliases for one name');
    aliases.set(record.owner, record);
  }
  let last = nameKey(question.name);
  const chain = new Set([last]);
  let ttl = Number.MAX_SAFE_INTEGER;
  // Who asks for aliases is told them, and none is followed.
  const following = question.type !== TYPE.CNAME && question.type !== TYPE.ANY;
  for (let alias = aliases.get(last); following && alias !== undefined; alias = aliases.get(last)) {
    last = alias.target ?? '';
    if (chain.has(last) || chain.size > CHAIN_MAX) throw malformed('aliases without an end');
    chain.add(last);
    ttl = Math.min(ttl, lifeOf(alias));
  }
  const addresses: Buffer[] = [];
  for (const record of records) {
    if (!belongs(record, chain, last, question.type)) throw malformed('a record nobody asked for');
    if (record.type !== question.type || (record.type !== TYPE.A && record.type !== TYPE.AAAA)) continue;
    addresses.push(record.data);
    ttl = Math.min(ttl, lifeOf(record));
  }
  return { addresses, ttlSeconds: addresses.length === 0 ? 0 : ttl };
}

function belongs(
  { owner, type }: ResourceRecord,
  chain: ReadonlySet<string>,
  last: string,
  asked: number,
): boolean {
  if (type === TYPE.CNAME) return chain.has(owner);
  // An alias of everything below a name, from which the CNAMEs were made (RFC 6672), and what signs either.
  if (type === TYPE.DNAME || type === TYPE.RRSIG)
    return chain.has(owner) || [...chain].some((name) => isWithin(name, owner));
  if ((type === TYPE.A || type === TYPE.AAAA) && type !== asked && asked !== TYPE.ANY) return false;
  return owner === last;
}

/** Beyond 2^31 - 1 it is to be taken for zero (RFC 2181 §8). */
function lifeOf({ ttl }: ResourceRecord): number {
  return ttl > 0x7fffffff ? 0 : ttl;
}

function malformed(problem: string): ProtocolError {
  return new ProtocolError('dns', 'server', problem);
}
