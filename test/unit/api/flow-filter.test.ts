import t from 'tap';
import {
  ANY_FLOW,
  type FlowFilter,
  flowMatcher,
  flowQuery,
  MAX_FLOW_LIMIT,
  parseFlowQuery,
} from '#src/api/flow-filter.ts';
import { sampleRecord } from './sample.ts';

t.test('a filter survives its way through a URL', (t) => {
  const full: FlowFilter = {
    sinceMs: Date.UTC(2026, 0, 31),
    agent: 'a & b=c',
    destination: '[::1]:5432',
    disposition: 'denied',
    verdict: 'deny',
    limit: 7,
  };
  t.same(parseFlowQuery(new URLSearchParams(flowQuery(full))), full);
  t.same(parseFlowQuery(new URLSearchParams(flowQuery(ANY_FLOW))), ANY_FLOW);
  t.same(parseFlowQuery(new URLSearchParams('')), ANY_FLOW, 'nothing asked is the default');
  t.end();
});

t.test('refuses what it does not understand', (t) => {
  const queries = [
    'agnet=a',
    'agent=a&agent=b',
    'agent=',
    `agent=${'a'.repeat(301)}`,
    'limit=0',
    'limit=-1',
    'limit=1e3',
    `limit=${MAX_FLOW_LIMIT + 1}`,
    'since=yesterday',
    'since=2026-01-31',
    'since=2026-99-31T00:00:00Z',
    'verdict=maybe',
    'disposition=DENIED',
    'dest=a:b',
  ];
  for (const query of queries) {
    t.throws(() => parseFlowQuery(new URLSearchParams(query)), { code: 'CONFIG' }, query);
  }
  t.end();
});

t.test('every part of a filter must match', (t) => {
  const record = sampleRecord(1);
  const matches = (change: Partial<FlowFilter>) => flowMatcher({ ...ANY_FLOW, ...change })(record);
  t.ok(matches({}));
  t.ok(matches({ agent: 'billing', verdict: 'allow', disposition: 'upgraded', destination: ':5432' }));
  for (const destination of [
    'db.example.org',
    'DB.example.org:5432',
    '192.0.2.10',
    'main-db',
    'main-db:5432',
  ]) {
    t.ok(matches({ destination }), destination);
  }
  const v6 = sampleRecord(1, { dst: { ...record.dst, ip: '2001:db8::1', host: null, name: null } });
  for (const destination of ['2001:DB8:0::1', '[2001:db8::1]:5432']) {
    t.ok(flowMatcher({ ...ANY_FLOW, destination })(v6), destination);
  }
  t.notOk(matches({ destination: 'example.org' }), 'a part of a name is another name');
  t.notOk(matches({ destination: 'db.example.org:80' }));
  t.notOk(matches({ agent: 'bill' }));
  t.notOk(matches({ verdict: 'deny' }));
  t.notOk(matches({ disposition: 'denied' }));
  const at = Date.parse(record.time);
  t.ok(matches({ sinceMs: at }), 'since includes its own moment');
  t.notOk(matches({ sinceMs: at + 1 }));
  t.end();
});
