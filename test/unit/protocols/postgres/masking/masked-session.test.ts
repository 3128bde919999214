/**
 * Sessions of real clients with a real server, as they were on the wire (fixtures), and some that no client has: what the
 * agent gets is judged.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ProtocolError } from '#src/core/protocol-error.ts';
import { Catalog } from '#src/protocols/postgres/masking/catalog.ts';
import { ColumnRules } from '#src/protocols/postgres/masking/column-rules.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import {
  bind,
  complete,
  describe,
  description,
  execute,
  int16,
  inWords,
  Keeper,
  parse,
  query,
  ready,
  row,
  sessionOf,
  started,
  sync,
  text,
} from '#test/support/masked-answers.ts';
import { CARDS, SSN } from '#test/support/masks.ts';
import { authentication, message, uint32 } from '#test/support/postgres-packets.ts';
import { recorded, type Turn } from '#test/support/recorded-sessions.ts';
import { splitsOf, wipe } from '#test/support/splits.ts';

await loadParser();

const inHex = (name: string): string => Buffer.from(name).toString('hex');

const FIXTURES = join(import.meta.dirname, '../../../../fixtures/postgres/sessions');

/** What the agent gets, and what the server gets with the session's own questions left out. */
function replay(turns: readonly Turn[], cut: (bytes: Buffer) => readonly Buffer[], asks = true) {
  const startup = turns[0]?.bytes.readUInt32BE(0) ?? 0;
  const keeper = new Keeper();
  keeper.due = asks;
  const session = sessionOf(startup, [CARDS, SSN], keeper);
  const agent: Buffer[] = [];
  const server: Buffer[] = [];
  for (const { from, bytes } of turns) {
    for (const chunk of cut(bytes)) {
      const out = (from === 'C' ? session.toServer : session.toAgent).push(chunk);
      (from === 'C' ? server : agent).push(Buffer.concat(out));
      session.questions();
      wipe(chunk);
    }
  }
  return { agent: Buffer.concat(agent), server: Buffer.concat(server) };
}

/** In any format that a client can ask for. */
const SECRETS = [
  '078-05-1120',
  '219-09-9999',
  '4111111111111111',
  '4111 1111 1111 1111',
  Buffer.from('4111111111111111').toString('hex'),
].map((text) => Buffer.from(text, 'latin1'));

const INT8 = Buffer.alloc(8);
INT8.writeBigInt64BE(4111111111111111n);

for (const client of ['psql', 'psycopg', 'asyncpg', 'pgbench', 'dbdpg']) {
  t.test(`${client}: nothing that is masked comes through, whatever the chunks`, async (t) => {
    const turns = recorded(client);
    // Another session of pgbench has asked for the tables before this one began.
    const asks = client !== 'pgbench';
    const whole = replay(turns, (bytes) => [Buffer.from(bytes)], asks);
    const came = Buffer.concat(turns.filter(({ from }) => from === 'S').map(({ bytes }) => bytes));
    t.ok(came.includes('078-05-1120'), 'the recording has it');
    for (const secret of [...SECRETS, INT8]) t.notOk(whole.agent.includes(secret), secret.toString('latin1'));
    const kinds = splitsOf(Buffer.alloc(1), 8).length;
    for (let kind = 0; kind < kinds; kind += 1) {
      const again = replay(turns, (bytes) => splitsOf(bytes, 8, kind + 1)[kind]?.chunks ?? [], asks);
      t.ok(again.agent.equals(whole.agent), `split ${kind}`);
      t.ok(again.server.equals(whole.server), `split ${kind}, to the server`);
    }
  });
}

t.test('psql: what it gets, message by message', async (t) => {
  const words = inWords(replay(recorded('psql'), (bytes) => [Buffer.from(bytes)]).agent);
  const path = join(FIXTURES, 'psql.masked.txt');
  const expected = readFileSync(path, 'utf8').trim().split('\n');
  t.strictSame(
    words.filter((word) => /^[DdEAN] /.test(word)).map((word) => JSON.stringify(word)),
    expected,
  );
});

t.test('rows are masked by what is described right before they are executed', async (t) => {
  const { toAgent, toServer } = started();
  const prepared = [parse('a', 'select id, ssn from people'), describe('Sa'), sync];
  t.equal(toServer(...prepared), Buffer.concat(prepared).toString('latin1'));
  t.equal(toAgent(message('1'), message('t', int16(0)), description({ name: 'ssn' }), ready), '1 t T Z');
  for (let time = 0; time < 3; time += 1) {
    const asked = toServer(bind('', 'a'), execute(''), sync);
    t.equal(asked, Buffer.concat([bind('', 'a'), describe('P'), execute(''), sync]).toString('latin1'));
    const answer = toAgent(
      message('2'),
      description({ name: 'ssn', format: 1 }),
      row('078-05-1120'),
      complete,
      ready,
    );
    t.equal(answer, '2 D ******** C SELECT 1  Z', 'the description nobody has asked for is left out');
  }
  t.equal(
    toServer(bind('p', 'a'), describe('Pp'), execute('p'), message('H'), execute('p'), sync).split('D')
      .length,
    3,
    'one that was described is not described twice, but each time anew',
  );
});

t.test('what was described before may have become something else', async (t) => {
  for (const between of [
    sync,
    bind('q', 'a'),
    execute('q'),
    query('select 1'),
    describe('Pq'),
    describe('Sp'),
  ]) {
    const { toServer } = started();
    const asked = toServer(bind('p', 'a'), describe('Pp'), between, execute('p'));
    t.ok(
      asked.endsWith(Buffer.concat([describe('Pp'), execute('p')]).toString('latin1')),
      between.toString(),
    );
  }
});

t.test('pipelined questions are answered each by its own, and an error skips to Sync', async (t) => {
  const { toAgent, toServer } = started();
  toServer(parse('', 'select 1'), bind('', ''), describe('P'), execute(''), sync);
  toServer(parse('', 'select ssn from people'), bind('', ''), describe('P'), execute(''), sync);
  toServer(query("select '4111111111111111' as note"));
  const error = message('E', text('SERROR'), text('C22012'), text('Mdivision by zero'), Buffer.alloc(1));
  t.match(toAgent(message('1'), error, ready), /^1 E SERROR C22012 Mdivision by zero {2} Z$/);
  const second = [
    message('1'),
    message('2'),
    description({ name: 'ssn' }),
    row('078-05-1120'),
    complete,
    ready,
  ];
  t.equal(toAgent(...second), '1 2 T D ******** C SELECT 1  Z');
  t.equal(
    toAgent(description({ name: 'note' }), row('4111111111111111'), complete, ready),
    'T D ************1111 C SELECT 1  Z',
  );
});

t.test('a session that is asked on while it skips', async (t) => {
  const { toAgent, toServer } = started();
  toServer(parse('', 'selec'), bind('', ''));
  const error = message('E', text('SERROR'), text('C42601'), text('Mno'), Buffer.alloc(1));
  toAgent(error);
  toServer(execute(''), query('select ssn from people'), sync, query('select 1'));
  t.equal(toAgent(ready, description({ name: 'a' }), row('b'), complete, ready), 'Z T D b C SELECT 1  Z');
});

t.test('Sync among the data of a COPY is no question', async (t) => {
  const { toAgent, toServer } = started();
  toServer(parse('', 'copy others from stdin'), bind('', ''), execute(''), sync);
  const copyIn = message('G', Buffer.from([0]), int16(1), int16(0));
  t.equal(toAgent(message('1'), message('2'), message('n'), copyIn), '1 2 G');
  toServer(message('d', text('x')), message('c'), sync);
  toServer(query('select ssn from people'));
  const end = [complete, ready, description({ name: 'ssn' }), row('078-05-1120'), complete, ready];
  t.equal(toAgent(...end), 'C SELECT 1  Z T D ******** C SELECT 1  Z');
});

t.test('a question among the data of a COPY would be lost, and is refused', async (t) => {
  const copyIn = message('G', Buffer.from([0]), int16(1), int16(0));
  for (const late of [true, false]) {
    const { toAgent, toServer } = started();
    toServer(query('copy others from stdin'));
    const ask = (): unknown => toServer(query('select 1'));
    if (late) {
      toAgent(copyIn);
      t.throws(ask, ProtocolError, 'while data is read');
    } else {
      ask();
      t.throws(() => toAgent(copyIn), ProtocolError, 'before it is');
    }
  }
  const { toAgent, toServer } = started();
  toServer(query('copy others from stdin'));
  toAgent(copyIn);
  toServer(message('d', text('x')), message('c'), query('select ssn from people'));
  const answers = [complete, ready, description({ name: 'ssn' }), row('078-05-1120'), complete, ready];
  t.equal(toAgent(...answers), 'C SELECT 1  Z T D ******** C SELECT 1  Z', 'behind it, it is none');
});

t.test(
  'the database is asked which columns are meant, between transactions, and the agent sees nothing of it',
  async (t) => {
    const keeper = new Keeper();
    keeper.due = false;
    const { session, toAgent, toServer } = started([SSN], keeper);
    keeper.due = true;
    const select = [
      description({ name: 'x', table: 100 }, { name: 'y', table: 100 }),
      row('078-05-1120', 'y'),
      complete,
    ];
    toServer(query('begin'));
    t.equal(toAgent(complete, message('Z', Buffer.from('T'))), 'C SELECT 1  Z');
    t.strictSame(session.questions(), [], 'not in a transaction');
    toServer(query('commit'), query('select x from other'));
    t.equal(toAgent(complete, ready), 'C SELECT 1  Z');
    t.strictSame(session.questions(), [], 'not while something else is asked');
    t.equal(toAgent(...select, ready), 'T D ********|******** C SELECT 1 ', 'its ReadyForQuery waits');
    const asked = Buffer.concat(session.questions()).toString('latin1');
    t.match(asked, /^P....sluice_look_up_[0-9a-f]{24}\0\nwith recursive/s);
    t.match(asked, `{${inHex('^(?:people)$')}}`, 'in ASCII, whatever the encoding');
    const meant = ['1', '100', '1', ...['public', 'people', 'ssn', '["ssn","y"]'].map(inHex)];
    const end = ['0', '200', '0', '', '', null, null];
    const code = ['-1', '0', '0', '', inHex('ssn_of'), null, null];
    toServer(query('select 2'));
    t.equal(
      toAgent(
        message('1'),
        message('2'),
        row(...meant),
        row(...code),
        row(...end),
        complete,
        message('3'),
        ready,
      ),
      'Z',
      'and is the last of the answer',
    );
    t.equal(toAgent(...select, ready), 'T D ********|y C SELECT 1  Z', 'by whatever name');
    toServer(query('select ssn_of(1)'));
    const called = [
      description({ name: 'ssn_of' }, { name: 'y', table: 100 }),
      row('078-05-1120', 'y'),
      complete,
    ];
    t.equal(toAgent(...called, ready), 'T D ********|y C SELECT 1  Z', 'by a function of the database');
    toServer(query('select ssn from newer'));
    const newer = [description({ name: 'ssn', table: 201 }), row('078-05-1120'), complete];
    t.equal(toAgent(...newer, ready), 'T D ******** C SELECT 1 ', 'a table that came later may be the one');
    t.equal(session.questions().length, 1, 'and is asked about');
  },
);

t.test(
  'what is said at the start of a session, and what tables are said to be, is what it can be',
  async (t) => {
    for (const [letter, length] of Object.entries({ R: 65_600, K: 300, v: 5_000 }))
      t.throws(() => sessionOf(0).toAgent.push(message(letter, Buffer.alloc(length))), ProtocolError, letter);
    const keeper = new Keeper();
    const { toAgent } = started([SSN], keeper);
    const meant = ['1', '100', '1', ...['public', 'people', 'ssn', '["ssn"'].map(inHex)];
    t.throws(() => toAgent(message('1'), message('2'), row(...meant)), ProtocolError, 'a list that is none');
    const other = new Keeper();
    const second = started([SSN], other);
    second.toAgent(
      message('1'),
      message('2'),
      row('0', '200', '0', '', '', null, null),
      message('I'),
      complete,
    );
    second.toAgent(message('3'), ready);
    t.equal(other.known, null, 'an answer with something else in it is none');
  },
);

t.test('a database that does not say which columns are meant', async (t) => {
  const keeper = new Keeper();
  const { session, toAgent, toServer } = started([SSN], keeper);
  t.equal(session.questions().length, 1);
  const error = message('E', text('SERROR'), text('C42501'), text('Mno'), Buffer.alloc(1));
  t.equal(toAgent(message('1'), error, ready), 'Z');
  toServer(query('select ssn, a from people'));
  t.equal(
    toAgent(description({ name: 'ssn', table: 5 }, { name: 'a', table: 5 }), row('1', '2'), complete, ready),
    'T D ********|******** C SELECT 1  Z',
    'all of a statement that names it',
  );
  t.equal(session.questions().length, 0);
});

t.test('an answer to what was not asked, and what cannot be read, breaks the flow', async (t) => {
  const broken: [string, Buffer[], Buffer[]][] = [
    ['a row without a description', [query('select 1')], [row('x')]],
    ['a row of other columns', [query('select 1')], [description({ name: 'a' }), row('x', 'y')]],
    [
      'a row that is longer',
      [query('select 1')],
      [description({ name: 'a' }), message('D', int16(1), uint32(9), Buffer.alloc(3))],
    ],
    ['an answer out of turn', [parse('', 'select 1')], [message('2')]],
    ['two ends', [query('select 1')], [ready, ready]],
    ['data of no COPY', [query('select 1')], [message('d', text('x'))]],
    ['a stream of replication', [query('select 1')], [message('W', Buffer.from([0]), int16(0))]],
    ['an unknown message', [], [message('@')]],
    ['something in what holds nothing', [parse('', 'select 1')], [message('1', text('078-05-1120'))]],
    ['authentication in the middle', [], [authentication(0)]],
    ['an error without end', [query('select 1')], [message('E', Buffer.from('Mx'))]],
    ['a description without end', [query('select 1')], [message('T', int16(2), text('a'), Buffer.alloc(18))]],
    ['an unknown question', [message('@')], []],
    ['a call by number', [message('F', uint32(1234), Buffer.alloc(6))], []],
  ];
  for (const [name, asked, answers] of broken) {
    for (const split of splitsOf(Buffer.concat([...asked, ...answers]), 2)) {
      const { session } = started();
      const questions = Buffer.concat(asked).length;
      t.throws(
        () => {
          let at = 0;
          for (const chunk of split.chunks) {
            const own = chunk.subarray(0, Math.max(0, questions - at));
            session.toServer.push(own);
            session.toAgent.push(chunk.subarray(own.length));
            at += chunk.length;
          }
        },
        ProtocolError,
        `${name}, ${split.name}`,
      );
    }
  }
});

t.test(
  'details of constraints are withheld where the database may have a column that is meant',
  async (t) => {
    const error = message(
      'E',
      text('SERROR'),
      text('C23505'),
      text('Mtwice'),
      text('DKey (a)=(1)'),
      Buffer.alloc(1),
    );
    const meant = {
      rule: 0,
      tableOid: 10,
      attribute: 2,
      schema: 'public',
      table: 'people',
      column: 'ssn',
      columns: [],
    };
    const { rules } = new ColumnRules(SSN.columns);
    const rows: [Catalog | null, string, RegExp][] = [
      [null, 'insert into others values ($1)', /withheld/],
      [new Catalog(rules, 100, [meant]), 'insert into others values ($1)', /withheld/],
      [new Catalog(rules, 100, []), 'insert into others values ($1)', /DKey \(a\)=\(1\)/],
      [new Catalog(rules, 100, []), 'do $$ begin end $$', /withheld/],
    ];
    for (const [known, sql, expected] of rows) {
      const keeper = new Keeper();
      keeper.due = false;
      const { session, toAgent, toServer } = started([SSN], keeper);
      keeper.known = known;
      t.strictSame(session.questions(), []);
      toServer(query(sql));
      t.match(toAgent(error, ready), expected, sql);
    }
  },
);

t.test('a denial of a statement is told, whatever the statement touched', async (t) => {
  const { toAgent, toServer } = started();
  const error = message(
    'E',
    text('SERROR'),
    text('C42501'),
    text('MSluice: denied by rule "r"'),
    Buffer.alloc(1),
  );
  for (const [sql, expected] of [
    ['sluice_denied_0123456789abcdef01234567_1', /denied by rule/],
    ['not sql', /withheld/],
  ] as const) {
    toServer(query(sql));
    t.match(toAgent(error, ready), expected, sql);
  }
});

t.test('large objects may be called for by number', async (t) => {
  const { toAgent, toServer } = started();
  toServer(message('F', uint32(954), Buffer.alloc(6)));
  t.equal(toAgent(message('V', uint32(3), Buffer.from('abc')), ready), 'V Z');
  toServer(message('F', uint32(964), Buffer.alloc(6)));
  const error = message('E', text('SERROR'), text('C42704'), text('Mthere is none'), Buffer.alloc(1));
  t.match(toAgent(error, ready), /there is none/);
});
