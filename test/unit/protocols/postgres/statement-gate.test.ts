/** Sessions in bytes: what a gate lets through to the server, and what it makes of the server's answers. */
import t from 'tap';
import { ProtocolError } from '#src/core/protocol-error.ts';
import type { Effect } from '#src/flow/operation.ts';
import { STATEMENT_MAX_BYTES } from '#src/protocols/postgres/parser.ts';
import { message, uint32 } from '#test/support/postgres-packets.ts';
import { mutate, seededRandom, splitsOf, wipe } from '#test/support/splits.ts';
import {
  answerOf,
  DENIED,
  errorAbout,
  GREETING,
  gateOf,
  held,
  parameter,
  parse,
  plain,
  playGate,
  query,
  ready,
  row,
  STARTUP,
  stands,
  text,
  tokenIn,
} from './gate-stage.ts';

t.test(
  'whatever the chunks, what passes is the same, and everything that is not a statement passes untouched',
  async (t) => {
    const session = Buffer.concat([
      STARTUP,
      message('p', text('secret')),
      query('SELECT 1'),
      parse('s', 'SELECT $1', 2),
      message('B', Buffer.alloc(40, 7)),
      message('D', text('Ss')),
      message('E', text(''), uint32(0)),
      message('C', text('Ss')),
      message('H'),
      message('S'),
      query('DROP TABLE t'),
      parse('d', 'DROP TABLE t', 1),
      message('S'),
      message('F', Buffer.alloc(30)),
      message('d', Buffer.alloc(3_000, 68)),
      message('c'),
      message('f', text('no')),
      query(''),
      message('X'),
    ]);
    const substitute = (n: number): string => `sluice_denied_${'0'.repeat(24)}_${n}`;
    const expected = Buffer.concat([
      STARTUP,
      message('p', text('secret')),
      query('SELECT 1'),
      parse('s', 'SELECT $1', 2),
      message('B', Buffer.alloc(40, 7)),
      message('D', text('Ss')),
      message('E', text(''), uint32(0)),
      message('C', text('Ss')),
      message('H'),
      message('S'),
      query(substitute(1)),
      parse('', substitute(2)),
      message('S'),
      query(substitute(3)),
      message('d', Buffer.alloc(3_000, 68)),
      message('c'),
      message('f', text('no')),
      query(''),
      message('X'),
    ]);
    for (const { name, chunks } of splitsOf(session)) {
      const { gate, toAgent, counts } = gateOf(STARTUP.length);
      toAgent(GREETING);
      const out = chunks.map((chunk) => {
        const piece = Buffer.concat(gate.toServer.push(chunk));
        wipe(chunk);
        return piece;
      });
      t.equal(plain(Buffer.concat(out)), expected.toString('latin1'), name);
      t.strictSame(counts, { judged: 4, refused: 1 }, name);
    }
  },
);

t.test(
  'functions of large objects may be called by number, and are judged like the same in SQL',
  async (t) => {
    const call = (oid: number, bytes = 8): Buffer => message('F', uint32(oid), Buffer.alloc(bytes));
    for (const { name, chunks } of splitsOf(call(954))) {
      const { toServer, toAgent, counts } = gateOf();
      toAgent(GREETING);
      t.ok(toServer(...chunks).equals(call(954)), name);
      t.strictSame(counts, { judged: 1, refused: 0 }, name);
    }
    const rows: [denies: Effect, oid: number, bytes: number, message: string][] = [
      ['write', 955, 8, 'not that'],
      ['server-file', 765, 8, 'not that'],
      ['write', 1598, 8, 'Sluice: functions may not be called by number (FunctionCall)'],
      ['system-change', 955, 2 << 20, 'Sluice: a function is called by number (FunctionCall) with more than'],
    ];
    for (const [denies, oid, bytes, said] of rows) {
      const { toServer, toAgent } = gateOf(0, denies);
      toAgent(GREETING);
      const token = tokenIn(toServer(call(oid, bytes)));
      t.ok(toAgent(errorAbout(token)).includes(said), said);
    }
    const { toServer } = gateOf();
    t.throws(() => toServer(message('F', Buffer.alloc(2))), ProtocolError);
  },
);

t.test(
  'the error about what stands for a denied statement becomes the denial, once, and no other error does',
  async (t) => {
    const { toServer, toAgent } = gateOf();
    toAgent(GREETING);
    const token = tokenIn(toServer(query('DROP TABLE t')));
    const session = Buffer.concat([
      message('E', text('SERROR'), text('C22012'), text('Mdivision by zero'), Buffer.alloc(1)),
      errorAbout('sluice_denied_000000000000000000000000_1'),
      errorAbout(token),
      ready,
      errorAbout(token),
      message('D', Buffer.alloc(2_000, 1)),
      message('N', text(`M${token}`), Buffer.alloc(1)),
    ]);
    const expected = [
      session.subarray(0, session.indexOf(errorAbout(token))).toString('latin1'),
      'SERROR\0VERROR\0C42501\0Mnot that\0Hnever\0\0',
      session.subarray(session.indexOf(ready)).toString('latin1'),
    ];
    const out = toAgent(session).toString('latin1');
    t.ok(out.startsWith(expected[0] ?? ''));
    t.ok(out.includes(expected[1] ?? ''));
    t.ok(out.endsWith(expected[2] ?? ''));
    t.equal(out.split('Mnot that').length, 2);
  },
);

t.test('server bytes come out the same under any split', async (t) => {
  const server = Buffer.concat([
    GREETING,
    message('T', Buffer.alloc(60, 3)),
    message('D', Buffer.alloc(900, 4)),
    message('E', text('SERROR'), text('Mx'), Buffer.alloc(1)),
    message('2'),
    ready,
  ]);
  for (const { name, chunks } of splitsOf(server)) {
    const { gate } = gateOf();
    const out = chunks.map((chunk) => {
      const piece = Buffer.concat(gate.toAgent.push(chunk));
      wipe(chunk);
      return piece;
    });
    t.strictSame(Buffer.concat(out), server, name);
  }
});

t.test('a text that the session may read otherwise than we do is refused', async (t) => {
  const backslash = query("SELECT 'a\\'");
  const umlaut = query("SELECT 'ä'");
  const latin = Buffer.from(query("SELECT 'x'"));
  latin[latin.indexOf('x')] = 0xe4;
  const passes = (bytes: Buffer, ...said: Buffer[]): boolean => {
    const { toServer, toAgent } = gateOf();
    if (said.length > 0) toAgent(...said);
    return tokenIn(toServer(bytes)) === '';
  };
  t.ok(passes(query('SELECT 1')), 'plain ASCII is the same everywhere');
  t.notOk(passes(backslash), 'nothing is known of the settings yet');
  t.notOk(passes(umlaut));
  t.ok(passes(backslash, GREETING));
  t.ok(passes(umlaut, GREETING));
  t.notOk(passes(latin, GREETING), 'no UTF-8');
  t.notOk(passes(backslash, GREETING, parameter('standard_conforming_strings', 'off')));
  const strings = ['off', 'on'].map((value) => parameter('standard_conforming_strings', value));
  t.notOk(passes(backslash, GREETING, ...strings), 'a ROLLBACK may put it back');
  const encodings = (first: string) => [first, 'UTF8'].map((value) => parameter('client_encoding', value));
  t.notOk(passes(umlaut, GREETING, ...encodings('SJIS')), 'likewise');
  t.ok(passes(umlaut, GREETING, ...encodings('LATIN1')), 'cut in the same places either way');
  t.notOk(passes(umlaut, GREETING, parameter('client_encoding', 'SJIS')));
  t.notOk(passes(query('SET client_encoding = SJIS'), GREETING), 'nor may it be changed');
});

t.test('what is too long to be read is left out whole, and the session goes on', async (t) => {
  const { toServer, counts } = gateOf();
  const long = `SELECT '${'x'.repeat(STATEMENT_MAX_BYTES)}'`;
  const out = toServer(query(long), parse('n', long), parse('n', 'x'.repeat(700_000)), query('SELECT 2'));
  t.match(
    plain(out),
    /^Q....sluice_denied_0+_1\0P....\0sluice_denied_0+_2\0\0\0P....\0sluice_denied_0+_3\0\0\0Q....SELECT 2\0$/s,
  );
  t.equal(counts.refused, 3);
});

t.test('what is no message of a client breaks the flow', async (t) => {
  const broken = [
    message('z'),
    message('R', uint32(0)),
    Buffer.from('Q\0\0\0\x03'),
    Buffer.from([0x51, 0xff, 0xff, 0xff, 0xff]),
    message('Q', Buffer.from('SELECT 1')),
    message('Q', text('SELECT 1'), text('; DROP TABLE t')),
    message('Q'),
    message('P', text('a')),
    message('P', text('a'), text('SELECT 1')),
    message('P', text('a'), text('SELECT 1'), Buffer.from([0, 2]), uint32(1)),
  ];
  for (const bytes of broken) {
    for (const { name, chunks } of splitsOf(bytes, 3)) {
      const { gate } = gateOf();
      t.throws(() => chunks.map((chunk) => gate.toServer.push(chunk)), ProtocolError, name);
    }
  }
});

t.test('no bytes make it do anything but pass a value or throw its error', async (t) => {
  const random = seededRandom(11);
  const seed = Buffer.concat([query('SELECT 1'), parse('s', 'DROP TABLE t', 1), message('S'), message('X')]);
  for (let n = 0; n < 2_000; n += 1) {
    const { gate } = gateOf();
    for (const side of [gate.toServer, gate.toAgent]) {
      try {
        for (const part of side.push(mutate(seed, random))) t.type(part, Uint8Array);
      } catch (error) {
        t.type(error, ProtocolError);
      }
    }
  }
});

t.test(
  'nothing of a statement that waits is at the server; what the server says goes on; approved, it passes as it was',
  async (t) =>
    playGate(t, [
      { agent: [query('SELECT 1'), held, query('SELECT 2')] },
      { asks: ['DELETE'] },
      { toServer: query('SELECT 1') },
      { server: [row, ready] },
      { toAgent: [row, ready] },
      { agent: query('SELECT 3') },
      { toServer: [] },
      { answer: null },
      { toServer: [held, query('SELECT 2'), query('SELECT 3')] },
      { agent: query('SELECT 4') },
      { toServer: query('SELECT 4') },
    ]),
);

t.test('denied after it has waited it is denied as at once', async (t) =>
  playGate(t, [
    { agent: held },
    { asks: ['DELETE'] },
    { answer: DENIED },
    { toServer: query(stands(1)) },
    { agent: query('DROP TABLE t') },
    { toServer: query(stands(2)) },
  ]),
);

t.test('of several statements in one text all are told, and one that is denied needs no answer', async (t) =>
  playGate(t, [
    { agent: query('SELECT 1; DELETE FROM t') },
    { asks: ['SELECT+DELETE'] },
    { answer: null },
    { toServer: query('SELECT 1; DELETE FROM t') },
    { agent: query('DELETE FROM t; DROP TABLE t') },
    { asks: [] },
    { toServer: query(stands(1)) },
    { agent: query('DELETE FROM t; SET client_encoding = SJIS') },
    { asks: [] },
    { toServer: query(stands(2)) },
  ]),
);

t.test(
  'an agent that ends the session behind a statement that waits does not wait for the answer',
  async (t) =>
    playGate(t, [
      { agent: [held, message('S'), message('d', Buffer.from('X')), message('X')] },
      { asks: ['DELETE'] },
      { toServer: [query(stands(1)), message('S'), message('d', Buffer.from('X')), message('X')] },
    ]),
);

t.test('approved, it is read again by what the server has said meanwhile', async (t) =>
  playGate(t, [
    { agent: query("DELETE FROM t WHERE 'ä' = 'ä'") },
    { asks: ['DELETE'] },
    { server: parameter('client_encoding', 'SJIS') },
    { toAgent: parameter('client_encoding', 'SJIS') },
    { answer: null },
    { toServer: query(stands(1)) },
  ]),
);

t.test('the error about what stands for it becomes the denial', async (t) => {
  const { gate, toAgent, toServer } = gateOf();
  toAgent(GREETING);
  toServer(held);
  gate.toServer.answer(DENIED);
  const token = tokenIn(toServer());
  t.equal(toAgent(errorAbout(token)).toString('latin1'), answerOf(DENIED).toString('latin1'));
});
