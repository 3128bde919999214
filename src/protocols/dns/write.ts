/** Writes what the forwarder says: its own question to a resolver, and answers to agents. */
import type { Answer, Question } from './answer.ts';
import {
  CLASS_IN,
  CLASSIC_DATAGRAM_BYTES,
  EDNS_DNSSEC_OK,
  FLAG,
  HEADER_BYTES,
  OPTION_EXTENDED_ERROR,
  SAFE_DATAGRAM_BYTES,
  TYPE,
} from './codes.ts';
import type { Query } from './query.ts';

/** How an answer travels: datagrams have a size, TCP has frames. */
export type Transport = 'udp' | 'tcp';

/** The question to a resolver: ours, not the agent's bytes. */
export function encodeQuestion(question: Question, query: Query): Buffer {
  const flags =
    (query.recursionDesired ? FLAG.RECURSION_DESIRED : 0) |
    (query.authenticData ? FLAG.AUTHENTIC_DATA : 0) |
    (query.checkingDisabled ? FLAG.CHECKING_DISABLED : 0);
  return Buffer.concat([
    header(question.id, flags, { additional: 1 }),
    questionSection(question.name, question.type),
    edns(0, query.edns?.dnssecOk ?? false, Buffer.alloc(0)),
  ]);
}

/**
 * The resolver's answer as the agent gets it: under the agent's id and spelling, records as they came, without
 * what concerned the resolver and us alone. Too large for the agent's datagram, it says so and nothing else.
 */
export function encodeAnswer(query: Query, answer: Answer, bytes: Buffer, transport: Transport): Buffer {
  const flags =
    baseFlags(query) |
    (answer.authoritative ? FLAG.AUTHORITATIVE : 0) |
    (answer.recursionAvailable ? FLAG.RECURSION_AVAILABLE : 0) |
    (answer.authenticData ? FLAG.AUTHENTIC_DATA : 0) |
    (answer.rcode & FLAG.RCODE);
  const question = questionSection(query.name, query.type);
  const ours = ownEdns(query, answer.rcode >> 4, Buffer.alloc(0));
  const additional = ours.length > 0 ? 1 : 0;
  // The question's place and length are the same in both, so pointers into it still lead where they led.
  const records = bytes.subarray(HEADER_BYTES + question.length, answer.end);
  const counts = { answers: answer.answers, authorities: answer.authorities, additional };
  const whole = Buffer.concat([header(query.id, flags, counts), question, records, ours]);
  if (transport === 'tcp' || whole.length <= datagramBytes(query)) return whole;
  return Buffer.concat([header(query.id, flags | FLAG.TRUNCATED, { additional }), question, ours]);
}

/** @param extendedError one of EXTENDED_ERROR, for agents that speak EDNS */
export function encodeRefusal(query: Query, rcode: number, extendedError: number): Buffer {
  const option = Buffer.alloc(6);
  option.writeUInt16BE(OPTION_EXTENDED_ERROR, 0);
  option.writeUInt16BE(2, 2);
  option.writeUInt16BE(extendedError, 4);
  const ours = ownEdns(query, 0, option);
  const flags = baseFlags(query) | FLAG.RECURSION_AVAILABLE | rcode;
  return Buffer.concat([
    header(query.id, flags, { additional: ours.length > 0 ? 1 : 0 }),
    questionSection(query.name, query.type),
    ours,
  ]);
}

/** To a query that could not be read: its id and the code, and nothing of what it held. */
export function encodeUnread(query: Buffer, rcode: number): Buffer {
  const answer = Buffer.alloc(HEADER_BYTES);
  answer.writeUInt16BE(query.readUInt16BE(0), 0);
  const kept = query.readUInt16BE(2) & (FLAG.OPCODE | FLAG.RECURSION_DESIRED);
  answer.writeUInt16BE(FLAG.RESPONSE | kept | rcode, 2);
  return answer;
}

function header(
  id: number,
  flags: number,
  counts: { answers?: number; authorities?: number; additional?: number },
): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt16BE(id, 0);
  bytes.writeUInt16BE(flags, 2);
  bytes.writeUInt16BE(1, 4);
  bytes.writeUInt16BE(counts.answers ?? 0, 6);
  bytes.writeUInt16BE(counts.authorities ?? 0, 8);
  bytes.writeUInt16BE(counts.additional ?? 0, 10);
  return bytes;
}

function questionSection(name: Buffer, type: number): Buffer {
  const rest = Buffer.alloc(4);
  rest.writeUInt16BE(type, 0);
  rest.writeUInt16BE(CLASS_IN, 2);
  return Buffer.concat([name, rest]);
}

function edns(extendedRcode: number, dnssecOk: boolean, options: Buffer): Buffer {
  const bytes = Buffer.alloc(11);
  bytes.writeUInt16BE(TYPE.OPT, 1);
  bytes.writeUInt16BE(SAFE_DATAGRAM_BYTES, 3);
  bytes[5] = extendedRcode;
  bytes.writeUInt16BE(dnssecOk ? EDNS_DNSSEC_OK : 0, 7);
  bytes.writeUInt16BE(options.length, 9);
  return Buffer.concat([bytes, options]);
}

/** Only who speaks EDNS is answered with it. */
function ownEdns({ edns: asked }: Query, extendedRcode: number, options: Buffer): Buffer {
  return asked === null ? Buffer.alloc(0) : edns(extendedRcode, asked.dnssecOk, options);
}

function baseFlags(query: Query): number {
  return (
    FLAG.RESPONSE |
    (query.recursionDesired ? FLAG.RECURSION_DESIRED : 0) |
    (query.checkingDisabled ? FLAG.CHECKING_DISABLED : 0)
  );
}

/** Over loopback nothing is fragmented, but nobody needs more than what resolvers send either. */
function datagramBytes({ edns: asked }: Query): number {
  return asked === null ? CLASSIC_DATAGRAM_BYTES : Math.min(asked.datagramBytes, 4096);
}
