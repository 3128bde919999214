import t from 'tap';
import { dnsReport, merged, type Outcome } from '#src/proxy/dns/dns-report.ts';
import { facts } from '../harness.ts';

const fine: Outcome = {
  name: 'a.test',
  verdict: 'allow',
  reason: 'ok',
  detail: 'A',
  bytesIn: 10,
  bytesOut: 20,
};
const denied: Outcome = { ...fine, name: 'b.test', verdict: 'deny', reason: 'no_rule', detail: 'no' };

t.test('a question is a flow that was resolved, or denied', async (t) => {
  const asked = facts({ port: 53 });
  t.match(dnsReport(asked, fine, 'rev', { ip: null, port: null }, 1.23456), {
    id: asked.id,
    disposition: 'resolved',
    protocol: 'dns',
    dst: { ip: '127.0.0.1', port: 53, host: 'a.test', host_source: 'dns' },
    bytes: { agent_to_server: 10, server_to_agent: 20 },
    timings: { total_ms: 1.235 },
  });
  t.match(dnsReport(asked, denied, 'rev', { ip: null, port: null }, 1), {
    disposition: 'denied',
    verdict: 'deny',
  });
});

t.test('a connection is told by the worst of its questions', async (t) => {
  t.same(merged([fine]), fine);
  t.match(merged([fine, denied, fine]), { name: 'b.test', reason: 'no_rule', bytesIn: 30, bytesOut: 60 });
});
