import t from 'tap';
import { decideInbound, explainInbound, inboundRanges } from '#src/policy/inbound.ts';
import { policyOf } from '#test/support/policy-text.ts';

const POLICY = policyOf(`
agents: [{name: web, match: [{uid: 1}]}, {name: dns, match: [{uid: 2}]}]
inbound:
  - name: nginx
    agents: [web]
    ports: [8080, "9000-9002"]
    from: [127.0.0.0/8, "::1"]
    action: exempt
    reason: nginx on this host ends the TLS
  - {name: lan, agents: [web, dns], ports: [53], protocol: udp, from: [10.0.0.0/8], action: exempt, reason: LAN}
`);

const ask = (agent: string | null, port: number, from: string, protocol: 'tcp' | 'udp' = 'tcp') =>
  decideInbound(POLICY, { agent, port, from, protocol });

t.test('nobody but whom a rule names, loopback included', async (t) => {
  t.match(ask('web', 8080, '127.0.0.1'), { kind: 'allow', rule: 'nginx', reason: /ends the TLS/ });
  t.match(ask('web', 9001, '::1'), { kind: 'allow' });
  t.match(ask('web', 8080, '::ffff:127.0.0.9'), { kind: 'allow' }, 'a v4-mapped address is the IPv4 address');
  t.match(ask('web', 53, '10.1.2.3', 'udp'), { kind: 'allow', rule: 'lan' });
  t.match(ask('dns', 53, '10.1.2.3', 'udp'), { kind: 'allow', rule: 'lan' });
  for (const refused of [
    ask('web', 8081, '127.0.0.1'),
    ask('web', 8080, '10.0.0.1'),
    ask('web', 8080, '127.0.0.1', 'udp'),
    ask('web', 53, '10.1.2.3', 'tcp'),
    ask('dns', 8080, '127.0.0.1'),
    ask('nobody', 8080, '127.0.0.1'),
    ask(null, 8080, '127.0.0.1'),
    ask('web', 8080, 'no address'),
  ])
    t.match(refused, { kind: 'deny', rule: null });
});

t.test('the table of an agent has each combination', async (t) => {
  t.equal(inboundRanges(POLICY, 'web').length, 2 * 2 + 1);
  t.equal(inboundRanges(POLICY, 'dns').length, 1);
  t.same(inboundRanges(POLICY, 'other'), []);
});

t.test('why each rule fits or not', async (t) => {
  const why = (agent: string, port: number, from: string, protocol: 'tcp' | 'udp') =>
    explainInbound(POLICY, { agent, port, from, protocol });
  const { answer, rules } = why('web', 8080, '10.0.0.1', 'tcp');
  t.equal(answer.kind, 'deny');
  t.match(rules, [
    { rule: 'nginx', matched: 'no', why: 'the address is another' },
    { rule: 'lan', matched: 'no', why: 'it is for udp only' },
  ]);
  t.match(why('dns', 54, '10.0.0.1', 'udp').rules, [
    { why: 'it is for web only' },
    { why: 'the port is another' },
  ]);
  t.match(why('web', 8080, '127.0.0.1', 'tcp').rules[0], {
    matched: 'yes',
    decisive: true,
    why: /^it fits: /,
  });
});
