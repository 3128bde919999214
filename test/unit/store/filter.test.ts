import t from 'tap';
import { DEFAULT_LIMIT, limitOf, MAX_LIMIT, parseDestination, whereOf } from '#src/store/filter.ts';

t.test('reads destinations', async (t) => {
  const cases: readonly [string, string | null, number | null][] = [
    ['api.example.org', 'api.example.org', null],
    ['api.example.org.:443', 'api.example.org', 443],
    ['203.0.113.7', '203.0.113.7', null],
    ['203.0.113.7:0', '203.0.113.7', 0],
    ['::1', '::1', null],
    ['0:0::1', '::1', null],
    ['[::FFFF:203.0.113.7]:80', '203.0.113.7', 80],
    [':65535', null, 65_535],
    ['Name of policy', 'Name of policy', null],
  ];
  for (const [text, host, port] of cases) t.strictSame(parseDestination(text), { host, port }, text);
  for (const text of ['', ':', ':65536', 'a:b', '[]', '[::1', '[::1]443', 'a:1:2', 'a:999999']) {
    t.throws(() => parseDestination(text), { code: 'CONFIG' }, text);
  }
});

t.test('binds every value and leaves out what is any', async (t) => {
  t.strictSame(whereOf({}), { sql: 'TRUE', parameters: {} });
  t.strictSame(whereOf({ agent: null, destination: null, sinceMs: null }), { sql: 'TRUE', parameters: {} });
  const { sql, parameters } = whereOf({ sinceMs: 0, agent: "'", destination: ':1', afterRowid: 0 });
  t.strictSame(parameters, { since: 0, agent: "'", port: 1, after: 0 }, 'zero is a value');
  t.equal(sql, 'time_ms >= $since AND agent = $agent AND dst_port = $port AND seq > $after');
});

t.test('answers are bounded', async (t) => {
  t.equal(limitOf({}), DEFAULT_LIMIT);
  t.equal(limitOf({ limit: 1e9 }), MAX_LIMIT);
  t.equal(limitOf({ limit: 0 }), 1);
  t.equal(limitOf({ limit: 2.9 }), 2);
});
