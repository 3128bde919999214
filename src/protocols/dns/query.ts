/**
 * An agent's question, read whole or refused.
 *
 * Only what a resolver's client has to say is understood: one question, and EDNS (RFC 6891) of which the size and
 * the DNSSEC bit are kept. Everything else a query can carry (options, signatures, records) is not passed on, so
 * that the name is all an agent can say by it.
 */
import { ProtocolError } from '../../core/protocol-error.ts';
import {
  CLASS_IN,
  CLASSIC_DATAGRAM_BYTES,
  EDNS_DNSSEC_OK,
  FLAG,
  HEADER_BYTES,
  RCODE,
  TYPE,
} from './codes.ts';
import { readName } from './name.ts';

/** Far more than one name and EDNS with its options take. */
export const QUERY_MAX_BYTES = 4096;

export interface Edns {
  /** The largest datagram the agent takes. */
  readonly datagramBytes: number;
  readonly dnssecOk: boolean;
}

export interface Query {
  readonly id: number;
  readonly recursionDesired: boolean;
  readonly authenticData: boolean;
  readonly checkingDisabled: boolean;
  /** As spelt by the agent. */
  readonly name: Buffer;
  readonly type: number;
  /** Null: the agent does not speak EDNS and must not be answered with it. */
  readonly edns: Edns | null;
}

/** The query cannot be served; `rcode` is the answer to give. */
export class QueryError extends ProtocolError {
  readonly rcode: number;

  constructor(rcode: number, message: string) {
    super('dns', 'agent', message);
    this.name = 'QueryError';
    this.rcode = rcode;
  }
}

/** @throws ProtocolError; a QueryError where the agent can be told */
export function readQuery(bytes: Buffer): Query {
  if (bytes.length < HEADER_BYTES) throw new ProtocolError('dns', 'agent', 'a query is cut short');
  const flags = bytes.readUInt16BE(2);
  // Whoever answered this would answer answers, for ever.
  if ((flags & FLAG.RESPONSE) !== 0)
    throw new ProtocolError('dns', 'agent', 'an answer where a query belongs');
  if ((flags & FLAG.OPCODE) !== 0) throw new QueryError(RCODE.NOTIMP, 'not a query by its operation code');
  if (bytes.length > QUERY_MAX_BYTES) throw malformed('a query is too long');
  if ((flags & (FLAG.TRUNCATED | FLAG.RESERVED | FLAG.RCODE)) !== 0) throw malformed('flags no query has');
  const [questions, answers, authorities, additional] = [4, 6, 8, 10].map((at) => bytes.readUInt16BE(at));
  if (questions !== 1 || answers !== 0 || authorities !== 0) throw malformed('not one question alone');
  const { name, end } = readQuestionName(bytes);
  if (bytes.length < end + 4) throw malformed('a question is cut short');
  const type = bytes.readUInt16BE(end);
  if (bytes.readUInt16BE(end + 2) !== CLASS_IN) throw new QueryError(RCODE.REFUSED, 'a class other than IN');
  if (type === TYPE.AXFR || type === TYPE.IXFR) throw new QueryError(RCODE.REFUSED, 'a zone transfer');
  if (type === 0 || type === TYPE.OPT) throw malformed('a type nobody can ask for');
  return {
    id: bytes.readUInt16BE(0),
    recursionDesired: (flags & FLAG.RECURSION_DESIRED) !== 0,
    authenticData: (flags & FLAG.AUTHENTIC_DATA) !== 0,
    checkingDisabled: (flags & FLAG.CHECKING_DISABLED) !== 0,
    name,
    type,
    edns: readEdns(bytes, end + 4, additional ?? 0),
  };
}

function readQuestionName(bytes: Buffer): { readonly name: Buffer; readonly end: number } {
  try {
    const { wire, end } = readName(bytes, HEADER_BYTES, 'agent');
    // Nothing stands before it that could be pointed at but the header.
    if (end - HEADER_BYTES !== wire.length) throw malformed('a compressed question');
    return { name: wire, end };
  } catch (error) {
    throw error instanceof QueryError || !(error instanceof ProtocolError) ? error : malformed(error.message);
  }
}

function readEdns(bytes: Buffer, at: number, count: number): Edns | null {
  if (count === 0) {
    if (at !== bytes.length) throw malformed('bytes behind the question');
    return null;
  }
  // TSIG and SIG(0) sign for a server that will never see them.
  if (count !== 1) throw malformed('records other than EDNS');
  if (bytes.length < at + 11 || bytes[at] !== 0) throw malformed('EDNS is cut short, or none');
  if (bytes.readUInt16BE(at + 1) !== TYPE.OPT) throw malformed('records other than EDNS');
  if (at + 11 + bytes.readUInt16BE(at + 9) !== bytes.length)
    throw malformed('EDNS does not end with the query');
  // Its version, in the second byte, is answered with ours (RFC 6891 §6.1.3), which is 0.
  return {
    datagramBytes: Math.max(CLASSIC_DATAGRAM_BYTES, bytes.readUInt16BE(at + 3)),
    dnssecOk: (bytes.readUInt16BE(at + 7) & EDNS_DNSSEC_OK) !== 0,
  };
}

function malformed(problem: string): QueryError {
  return new QueryError(RCODE.FORMERR, problem);
}
