/**
 * Arrays of numbers that are too long to be held, in binary, as a real client and a real PostgreSQL give and take them: in rows, parameters
 * and COPY, in both directions. Without the kernel plane and TLS, over Unix sockets.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { loadParser } from '#src/protocols/postgres/parser.ts';
import { run } from '#test/support/command.ts';
import { MaskingProxy } from '#test/support/masking-proxy.ts';
import { CARDS } from '#test/support/masks.ts';
import { ScratchPostgres } from '#test/support/scratch-postgres.ts';

t.setTimeout(240_000);
await loadParser();
const server = await ScratchPostgres.start();
t.teardown(() => server.stop());
const dir = mkdtempSync('/tmp/sluice-long-');
t.teardown(() => rmSync(dir, { recursive: true, force: true }));
chmodSync(dir, 0o755);
const proxy = await MaskingProxy.start(dir, server.socket, [{ ...CARDS, direction: 'both' }]);
t.teardown(() => proxy.stop());

const made = await server.psql(`
  create table many (id int, own int8[], more numeric[], pair text);
  create type pair as (n int8, many int8[]);
  create table pairs (id int, p pair, r int8multirange);
  insert into many select 1, array_agg(7::int8) || 4111111111111111, array_agg(7::numeric) || 4111111111111111, 'x' from generate_series(1, 150000);
  insert into pairs select 1, row(4111111111111111, own)::pair,
    (select range_agg(int8range(n * 3, n * 3 + 1)) from generate_series(1, 60000) n) from many;`);
t.match(made, { code: 0, stderr: '' });

const script = join(dir, 'long.py');
writeFileSync(
  script,
  `import psycopg, struct, sys
card = 4111111111111111
with psycopg.connect(sys.argv[1], autocommit=True) as c:
    b = lambda sql: c.cursor(binary=True).execute(sql).fetchone()
    own, more = b("select own, more from many where id = 1")
    print(len(own), own[-2:], len(more), [str(n) for n in more[-2:]])
    (pair,) = b("select row(own[150001], own, repeat('x', 1100000)) from many where id = 1")
    print(pair[0], pair[1][-2:], len(pair[2]))
    (raw,) = c.cursor(binary=True).execute("select p from pairs where id = 1").fetchone()
    print(struct.pack('!q', card) in (raw if isinstance(raw, bytes) else repr(raw).encode()), str(card) in repr(raw))
    with c.cursor().copy("copy (select own from many where id = 1) to stdout (format binary)") as data:
        print(struct.pack('!q', card) in b''.join(data))
    c.execute("insert into many (id, own) values (2, %b)", ([7] * 150000 + [card],))
    c.execute("insert into many (id, own, pair) values (3, %b, %b)", ([card, None] + [7] * 150000, 'x'))
    array = struct.pack('!5I', 1, 0, 20, 150001, 1) + struct.pack('!Iq', 8, 7) * 150000 + struct.pack('!Iq', 8, card)
    with c.cursor().copy("copy many (id, own) from stdin (format binary)") as data:
        data.write(b'PGCOPY\\n\\xff\\r\\n\\0' + bytes(8) + struct.pack('!hIiI', 2, 4, 4, len(array)) + array + struct.pack('!h', -1))
with psycopg.connect(sys.argv[1], autocommit=True) as c:
    try:
        c.cursor(binary=True).execute("select r, repeat('x', 1100000) from pairs where id = 1")
        print('passed')
    except psycopg.OperationalError:
        print('ended')
`,
);

t.test('no number passes in them', async (t) => {
  const connection = `host=${dir} port=5432 user=postgres dbname=shop sslmode=disable`;
  const done = await run(['/usr/bin/python3', script, connection]);
  t.equal(done.stderr, '');
  t.strictSame(done.stdout.trim().split('\n'), [
    "150001 [7, 0] 150001 ['7', '0']",
    '0 [7, 0] 1100000',
    'False False',
    'False',
    'ended',
  ]);
  const { stdout } = await server.psql(
    'select id, cardinality(own), 4111111111111111 = any (own) is true, 0 = any (own) from many where id > 1 order by id;',
  );
  t.equal(stdout, '2|150001|f|t\n3|150002|f|t\n4|150001|f|t\n');
  t.match(proxy.errors, [/a value that cannot be masked where it stands$/], 'a multirange of that length');
});
