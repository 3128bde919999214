import { readFileSync } from 'node:fs';
import t from 'tap';
import { metricsText } from '#src/api/metrics.ts';
import { readExposition } from '#test/support/exposition.ts';
import { sampleStatus } from './sample.ts';

t.test('a status is metrics', async (t) => {
  const counters = { 'kernel.refused.udp_denied': 4, 'dns.questions': 5, 'dns.restarts': 1 };
  const denials = [{ agent: 'billing "x"', technique: 'sendto', count: 3 }];
  const read = readExposition(
    metricsText(sampleStatus({ enforcing: false, tier: 'lsm', counters, denials })),
  );
  const at = (name: string, labels = ''): number | undefined => read.get(name)?.samples.get(labels);
  t.equal(at('sluice_enforcing'), 0);
  t.equal(at('sluice_enforcement_tier', '{tier="lsm"}'), 1);
  t.equal(at('sluice_build_info', '{version="0.1.0"}'), 1);
  t.equal(at('sluice_flows_total', '{disposition="denied",reason="no_rule"}'), 2);
  t.equal(at('sluice_denied_total', '{agent="billing \\"x\\"",technique="sendto"}'), 3);
  t.equal(at('sluice_kernel_refused_total', '{reason="udp_denied"}'), 4);
  t.equal(at('sluice_dns_questions_total', '{kind="questions"}'), 5);
  t.equal(at('sluice_dns_forwarder_restarts_total'), 1);
  t.equal(at('sluice_store_degraded'), 0);
});

t.test('each is in the document, and no other', async (t) => {
  const names = [...readExposition(metricsText(sampleStatus())).keys()].sort();
  const document = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8');
  const described = [...document.matchAll(/^\| `(sluice_\w+)/gm)].map((match) => match[1]).sort();
  t.same(described, names);
});
