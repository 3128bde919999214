/** A gate and sessions in bytes, for its tests: it holds updates and deletions without a condition, and denies what a test says. */
import type { Effect } from '#src/flow/operation.ts';
import { LATER } from '#src/protocols/layer.ts';
import { errorAnswer } from '#src/protocols/postgres/answers.ts';
import { classify } from '#src/protocols/postgres/classify.ts';
import type { Denial } from '#src/protocols/postgres/denials.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { StatementGate } from '#src/protocols/postgres/statement-gate.ts';
import { play, type Step } from '#test/support/playbook.ts';
import { authentication, message, startupMessage, uint32 } from '#test/support/postgres-packets.ts';

await loadParser();
export const LEFT: Denial = { sqlState: '42501', message: 'left', hint: 'never' };
export const DENIED: Denial = { sqlState: '42501', message: 'not that', hint: 'never' };
export const STARTUP = startupMessage({ user: 'u' });

export const text = (value: string): Buffer => Buffer.from(`${value}\0`);
export const query = (sql: string): Buffer => message('Q', text(sql));
export const parse = (name: string, sql: string, types = 0): Buffer => {
  const count = Buffer.from([0, types]);
  return message('P', text(name), text(sql), count, Buffer.alloc(4 * types, 1));
};
export const parameter = (name: string, value: string): Buffer => message('S', text(name), text(value));
export const errorAbout = (token: string): Buffer =>
  message('E', text('SERROR'), text('C42601'), text(`Msyntax error at or near "${token}"`), Buffer.alloc(1));
export const ready = message('Z', Buffer.from('I'));
export const GREETING = Buffer.concat([
  authentication(0),
  parameter('client_encoding', 'UTF8'),
  parameter('standard_conforming_strings', 'on'),
  ready,
]);

export function gateOf(startupBytes = 0, denies: Effect = 'schema-destruction') {
  const counts = { judged: 0, refused: 0 };
  const asked: string[] = [];
  const shown: { texts: string[]; types: readonly number[] | undefined }[] = [];
  const gate = new StatementGate({
    startupBytes,
    classify,
    judge: ({ effects }) => {
      counts.judged += 1;
      if (effects.has('unbounded-write')) return 'hold';
      return effects.has(denies) ? DENIED : null;
    },
    mayHold: true,
    decide: ({ operations, texts, bind }) => {
      shown.push({ texts: texts.map(String), types: bind?.types });
      asked.push(operations.map(({ verb }) => verb).join('+'));
      return LATER;
    },
    onRefused: () => {
      counts.refused += 1;
    },
    onTerminate: () => gate.toServer.answer(LEFT),
  });
  const toServer = (...bytes: Buffer[]): Buffer => Buffer.concat(gate.toServer.push(Buffer.concat(bytes)));
  const toAgent = (...bytes: Buffer[]): Buffer => Buffer.concat(gate.toAgent.push(Buffer.concat(bytes)));
  return { gate, counts, asked, shown, toServer, toAgent };
}

/** With each token by a fixed one of its length: tokens are random. */
export const plain = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString('latin1')
    .replaceAll(/sluice_denied_[0-9a-f]{24}/g, `sluice_denied_${'0'.repeat(24)}`);

export const tokenIn = (bytes: Buffer): string =>
  /sluice_denied_\w+/.exec(bytes.toString('latin1'))?.[0] ?? '';

/** Two layers, in which somebody is asked about an UPDATE or DELETE without a condition. */
export function stage() {
  const { gate, asked, toAgent } = gateOf();
  toAgent(GREETING);
  return { toServer: gate.toServer, toAgent: gate.toAgent, asked };
}
export const playGate = (t: Parameters<typeof play>[0], steps: readonly Step<Denial | null>[]): void =>
  play(t, stage, steps, plain);
export const stands = (n: number): string => `sluice_denied_${'0'.repeat(24)}_${n}`;
export const held = query('DELETE FROM t');
export const row = message('D', Buffer.alloc(40, 5));
export const answerOf = (denial: Denial): Buffer => errorAnswer({ severity: 'ERROR', ...denial });

export const bind = (name: string, value = '1', portal = ''): Buffer =>
  message(
    'B',
    text(portal),
    text(name),
    Buffer.from([0, 0, 0, 1]),
    uint32(value.length),
    Buffer.from(value),
    Buffer.alloc(2),
  );
export const execute = message('E', text(''), uint32(0));
export const close = (name: string): Buffer => message('C', Buffer.from('S'), text(name));
export const sync = message('S');
export const ok = [message('1'), message('2'), ready];
