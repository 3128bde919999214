/** The gate of statements: no text that is denied goes to the server, however the framing around it is broken. */
import fc from 'fast-check';
import { ClassifyCache } from '#src/protocols/postgres/classify-cache.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { StatementGate } from '#src/protocols/postgres/statement-gate.ts';
import { type Outcome, outcomeOf } from '#test/support/outcome.ts';
import { authentication, message, startupMessage, uint32 } from '#test/support/postgres-packets.ts';
import { messagesOf } from '#test/support/recorded-sessions.ts';
import { alike, broken, cuts, type Target } from '../target.ts';

await loadParser();
const cache = new ClassifyCache();
const STARTUP = startupMessage({ user: 'u' });
const text = (value: string): Buffer => Buffer.from(`${value}\0`);
const query = (sql: string): Buffer => message('Q', text(sql));
const parse = (name: string, sql: string): Buffer => message('P', text(name), text(sql), Buffer.alloc(2));
const parameter = (name: string, value: string): Buffer => message('S', text(name), text(value));

const ASKED = [
  Buffer.concat([query('select 1'), query('DROP TABLE t'), query('select 2; truncate t')]),
  Buffer.concat([
    parse('a', 'DROP TABLE t'),
    message('B', Buffer.alloc(8)),
    message('E', text(''), uint32(0)),
    message('S'),
  ]),
  Buffer.concat([
    message('p', text('secret')),
    query('copy t from stdin'),
    message('d', text('DROP TABLE t')),
    message('c'),
  ]),
  Buffer.concat([message('F', uint32(1), Buffer.alloc(6)), query('select'), message('X')]),
];
const ANSWERED = [
  Buffer.concat([
    authentication(0),
    parameter('client_encoding', 'UTF8'),
    parameter('standard_conforming_strings', 'on'),
    message('Z', Buffer.from('I')),
    message('E', text('SERROR'), text('C42601'), text('Msyntax error at or near "x"'), Buffer.alloc(1)),
  ]),
];

function gate(): StatementGate {
  const denial = { sqlState: '42501', message: 'no', hint: 'no' };
  return new StatementGate({
    startupBytes: STARTUP.length,
    classify: cache.classify,
    judge: ({ effects }) => (effects.has('schema-destruction') ? denial : null),
    mayHold: true,
    decide: () => null,
    onRefused: () => {},
    onTerminate: () => {},
  });
}

/** Tokens are random. */
function plain(parts: readonly Uint8Array[]): string {
  return Buffer.concat(parts)
    .toString('latin1')
    .replace(/sluice_denied_[0-9a-f]{24}/g, 'sluice_denied');
}

/** What the server gets of what the agent sends after its start-up packet. */
function asked(pieces: readonly Buffer[]): Outcome<string> {
  const { toServer } = gate();
  const out: Uint8Array[] = [...toServer.push(STARTUP)];
  const result = () => Buffer.concat(out).subarray(STARTUP.length);
  const outcome = outcomeOf(
    pieces,
    (piece) => out.push(...toServer.push(piece).map((part) => Buffer.from(part))),
    () => plain([result()]),
  );
  for (const bytes of messagesOf(result())) judgeSent(bytes);
  return outcome;
}

/** Judged apart from the gate: by the text that the server would read. */
function judgeSent(bytes: Buffer): void {
  const type = bytes.toString('latin1', 0, 1);
  if (type !== 'Q' && type !== 'P') return;
  const from = type === 'Q' ? 5 : bytes.indexOf(0, 5) + 1;
  const end = bytes.indexOf(0, from);
  const read = cache.classify(bytes.subarray(from, end === -1 ? bytes.length : end));
  if (read.kind === 'operations' && read.operations.some(({ effects }) => effects.has('schema-destruction')))
    throw new Error(`the server gets ${bytes.toString('latin1')}`);
}

function answered(pieces: readonly Buffer[]): Outcome<string> {
  const { toAgent } = gate();
  const out: Uint8Array[] = [];
  return outcomeOf(
    pieces,
    (piece) => out.push(...toAgent.push(piece).map((part) => Buffer.from(part))),
    () => plain(out),
  );
}

export const GATE_TARGETS: readonly Target[] = [
  {
    name: 'gate',
    holds:
      'messages or the error of protocols, the same however they are cut; no statement that is denied goes on',
    rounds: 400,
    property: () =>
      fc.property(broken(ASKED), broken(ANSWERED), cuts, (question, answer, lengths) => {
        alike(asked, question, lengths);
        alike(answered, answer, lengths);
      }),
  },
];
