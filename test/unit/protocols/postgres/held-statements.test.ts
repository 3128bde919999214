/** What needs approval whenever it is executed: sessions in bytes, through a gate. */
import t from 'tap';
import { ProtocolError } from '#src/core/protocol-error.ts';
import { message } from '#test/support/postgres-packets.ts';
import {
  bind,
  close,
  DENIED,
  execute,
  GREETING,
  gateOf,
  ok,
  parse,
  playGate,
  query,
  ready,
  stands,
  sync,
  text,
  tokenIn,
} from './gate-stage.ts';

t.test('each execution is asked about anew, and preparing is not', async (t) =>
  playGate(t, [
    { agent: [parse('d', 'DELETE FROM t', 1), message('D', text('Sd')), sync] },
    { asks: [] },
    { toServer: [parse('d', 'DELETE FROM t', 1), message('D', text('Sd')), sync] },
    { server: [message('1'), ready] },
    { toAgent: [message('1'), ready] },
    { agent: [bind('d', '1'), execute, sync] },
    { asks: ['DELETE'] },
    { toServer: [] },
    { answer: null },
    { toServer: [bind('d', '1'), execute, sync] },
    { server: ok },
    { toAgent: ok },
    { agent: [bind('d', '2'), execute, sync] },
    { asks: ['DELETE'] },
    { answer: DENIED },
    { toServer: [parse('', stands(1)), execute, sync] },
  ]),
);

t.test(
  'a pipeline waits from the values on and keeps its order, with two of them to be decided',
  async (t) => {
    const select = [parse('', 'SELECT 1'), bind(''), execute];
    const update = [parse('', 'UPDATE t SET a = $1', 1), bind(''), execute];
    const remove = [parse('c', 'DELETE FROM t'), bind('c'), execute];
    playGate(t, [
      { agent: [...select, ...update, ...select] },
      { asks: ['UPDATE'] },
      { toServer: [...select, parse('', 'UPDATE t SET a = $1', 1)] },
      { agent: [...remove, sync] },
      { answer: null },
      { asks: ['DELETE'] },
      { toServer: [bind(''), execute, ...select, parse('c', 'DELETE FROM t')] },
      { answer: DENIED },
      { toServer: [parse('', stands(1)), execute, sync] },
    ]);
  },
);

t.test('who is asked is shown the text, and what it executes by name', async (t) => {
  const { toServer, toAgent, gate, shown } = gateOf();
  toAgent(GREETING);
  toServer(parse('d', 'DELETE FROM t', 2), bind('d'));
  t.strictSame(shown, [{ texts: ['DELETE FROM t'], types: [0x0101_0101, 0x0101_0101] }]);
  gate.toServer.answer(null);
  toServer(sync, query('PREPARE p AS DELETE FROM u'));
  t.equal(shown.length, 1, 'PREPARE runs nothing');
  toServer(query('EXPLAIN ANALYZE EXECUTE p'));
  t.strictSame(shown[1]?.texts, ['EXPLAIN ANALYZE EXECUTE p', 'PREPARE p AS DELETE FROM u']);
});

t.test(
  'a name means what it must mean by then, and where that is not certain it may be what needs approval',
  async (t) => {
    const failed = [message('E', text('SERROR'), Buffer.alloc(1)), ready];
    const remove = [parse('s', 'DELETE FROM t'), sync];
    const select = [parse('s', 'SELECT 1'), sync];
    /** What is done, and who is asked then about what the agent executes by that name. */
    const rows: [name: string, done: (Buffer[] | 'ok' | 'failed')[], asked: 'held' | 'free' | 'unclear'][] = [
      ['never prepared', [], 'free'],
      ['prepared', [remove], 'held'],
      ['answered', [remove, 'ok'], 'held'],
      ['closed, and not answered', [remove, 'ok', [close('s'), sync]], 'held'],
      ['closed and answered', [remove, 'ok', [close('s'), sync], 'ok'], 'free'],
      ['closed in this batch', [remove, 'ok', [close('s')]], 'free'],
      ['closing has failed', [remove, 'ok', [close('s'), sync], 'failed'], 'held'],
      ['prepared as something else', [remove, 'ok', select, 'ok'], 'free'],
      ['not answered yet', [remove, 'ok', select], 'held'],
      ['which failed', [remove, 'ok', select, 'failed'], 'held'],
      ['which failed, and something else went well', [remove, 'ok', select, 'failed', [sync], 'ok'], 'held'],
      ['something else in this batch', [remove, 'ok', [parse('s', 'SELECT 1')]], 'free'],
      [
        'taken for data of a COPY',
        [remove, 'ok', [query('COPY t FROM STDIN'), parse('s', 'SELECT 1')]],
        'held',
      ],
      [
        'behind that COPY',
        [remove, 'ok', [query('COPY t FROM STDIN')], 'ok', [parse('s', 'SELECT 1')]],
        'free',
      ],
      [
        'another that needs approval',
        [remove, 'ok', [parse('s', 'DELETE FROM u'), sync], 'failed'],
        'unclear',
      ],
      ['by SQL', [[query('PREPARE s AS DELETE FROM t')]], 'held'],
      ['by SQL, and closed', [[query('PREPARE s AS DELETE FROM t')], 'ok', [close('s'), sync], 'ok'], 'free'],
      // The server skips the query with all that comes before the Sync: one answer less than was asked for.
      [
        'more was asked than is answered',
        [remove, 'ok', [parse('x', 'SELECT 1'), query('SELECT 1'), close('s'), sync], 'failed', [sync], 'ok'],
        'held',
      ],
    ];
    for (const [name, done, wanted] of rows) {
      for (const run of [bind('s'), query('EXECUTE s')]) {
        const { toServer, toAgent, asked, counts } = gateOf();
        toAgent(GREETING);
        for (const step of done) {
          if (step === 'ok') toAgent(ready);
          else if (step === 'failed') toAgent(...failed);
          else toServer(...step);
        }
        const refused = counts.refused;
        toServer(run);
        const found = asked.length > 0 ? 'held' : counts.refused > refused ? 'unclear' : 'free';
        t.equal(found, wanted, `${name}, ${run.toString('latin1', 0, 1)}`);
      }
    }
  },
);

t.test('what is asked beside the gate is waited for as well', async (t) => {
  const { gate, toServer, toAgent, asked } = gateOf();
  toAgent(GREETING);
  toServer(parse('s', 'DELETE FROM t'), sync);
  toAgent(ready);
  gate.askedBeside();
  toServer(close('s'), sync);
  toAgent(ready);
  toServer(bind('s'));
  t.strictSame(asked, ['DELETE']);
});

t.test('names are those the server knows', async (t) => {
  const long = 's'.repeat(63);
  for (const [prepared, bound] of [
    [long, `${long}x`],
    ['s', '\u00e4'],
  ] as const) {
    const { toServer, toAgent, asked, counts } = gateOf();
    toAgent(GREETING);
    toServer(parse(prepared, 'DELETE FROM t'), bind(bound));
    t.equal(asked.length + counts.refused, 1, bound);
  }
  const { toServer, toAgent, asked } = gateOf();
  toAgent(GREETING);
  t.not(tokenIn(toServer(parse(`${long}x`, 'DELETE FROM t'))), '', 'cut at the server');
  t.not(tokenIn(toServer(parse('\u00e4', 'DELETE FROM t'))), '', 'another in another encoding');
  t.equal(tokenIn(toServer(parse(`${long}x`, 'SELECT 1'), parse('\u00e4', 'SELECT 1'))), '');
  toServer(parse(long, 'DELETE FROM t'), parse(`${long}y`, 'SELECT 1'), bind(long));
  t.strictSame(asked, ['DELETE'], 'where names are longer that is another');
});

t.test('what would run otherwise than it was asked about is refused', async (t) => {
  const { toServer, toAgent, counts } = gateOf();
  toAgent(GREETING);
  for (const sql of ['EXECUTE s', 'PREPARE s AS DELETE FROM t', 'EXPLAIN ANALYZE EXECUTE s'])
    t.not(tokenIn(toServer(parse('', sql))), '', sql);
  t.equal(tokenIn(toServer(parse('', 'PREPARE s AS SELECT 1'))), '');
  t.equal(counts.refused, 3);
});

t.test('so much is remembered and looked at, and no more', async (t) => {
  const many = gateOf();
  many.toAgent(GREETING);
  t.equal(tokenIn(many.toServer(bind('x', 'y'.repeat(2_000_000)))), '', 'nothing needs approval');
  for (let n = 0; n < 128; n += 1) many.toServer(parse(`s${n}`, 'DELETE FROM t'));
  t.not(tokenIn(many.toServer(parse('another', 'DELETE FROM t'))), '');
  t.equal(tokenIn(many.toServer(parse('another', 'SELECT 1'), bind('another', 'y'.repeat(1_000_000)))), '');
  t.not(tokenIn(many.toServer(bind('another', 'y'.repeat(1_100_000)))), '', 'nobody has looked at the name');
  t.not(tokenIn(many.toServer(bind('s1', 'y'.repeat(140_000)))), '', 'nobody could see it');
  const long = gateOf();
  long.toAgent(GREETING);
  const sql = `DELETE FROM t /* ${'x'.repeat(100_000)} */`;
  t.equal(tokenIn(long.toServer(parse('a', sql), parse('b', sql), sync)), '');
  t.not(tokenIn(long.toServer(parse('c', sql), sync)), '');
  long.toAgent(ready, ready);
  t.not(tokenIn(long.toServer(parse('c', sql), sync)), '');
  long.toServer(close('a'), sync);
  long.toAgent(ready, ready);
  t.equal(tokenIn(long.toServer(parse('c', sql))), '', 'there is room again');
  t.throws(() => long.toServer(message('B', Buffer.from('x'))), ProtocolError);
});
