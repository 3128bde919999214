import t from 'tap';
import { decide, needsDnsName, preparePolicy } from '#src/policy/decide.ts';
import type { ConnectAnswer, FlowQuestion } from '#src/policy/types.ts';
import { policyOf } from '#test/support/policy-text.ts';

type Seen = NonNullable<FlowQuestion['seen']>;

const http = (name: string | null): Seen => ({ protocol: 'http', agentTls: false, name });
const tls = (name: string | null): Seen => ({ protocol: 'tls', agentTls: true, name });
const postgres: Seen = { protocol: 'postgres', agentTls: false, name: null };
const unknown: Seen = { protocol: 'unknown', agentTls: false, name: null };

/** Asks a policy as agent `a`; the answer in short: `allow RULE DESTINATION MODE NAME PORT`, `deny CODE RULE`. */
function asker(text: string, agent: string | null = 'a') {
  const policy = preparePolicy(
    policyOf(`agents: [{name: a, match: [{uid: 1}]}, {name: b, match: [{uid: 2}]}]\n${text}`),
  );
  return (ip: string, port: number, seen?: Seen): string =>
    short(decide(policy, seen === undefined ? { agent, ip, port } : { agent, ip, port, seen }));
}

function short(answer: ConnectAnswer): string {
  if (answer.kind === 'inspect') return `inspect ${answer.protocol}`;
  if (answer.kind === 'deny') return `deny ${answer.code} ${answer.rule}`;
  const name =
    answer.serverName === null ? 'unnamed' : `${answer.serverName.source}:${answer.serverName.name}`;
  return `allow ${answer.rule} ${answer.destination.name} ${answer.mode} ${name} ${answer.upstreamPort}`;
}

t.test('what nothing allows is denied', (t) => {
  t.equal(asker('')('10.0.0.1', 80), 'deny no_rule null');
  t.equal(asker('rules: [{name: r, agents: [b], action: allow}]')('10.0.0.1', 80), 'deny no_rule null');
  t.equal(asker('rules: [{name: r, action: allow}]', null)('10.0.0.1', 80), 'deny no_rule null');
  t.equal(asker('rules: [{name: r, action: allow}]', 'gone')('10.0.0.1', 80), 'deny no_rule null');
  t.equal(asker('rules: [{name: r, action: allow}]')('not-an-ip', 80), 'deny no_rule null');
  t.end();
});

t.test('a rule without destinations allows anywhere the name in the request is proved', (t) => {
  const ask = asker('rules: [{name: r, action: allow}]');
  t.equal(ask('10.0.0.1', 80), 'inspect null');
  t.equal(ask('10.0.0.1', 80, http('A.org.')), 'allow r * upgrade http-host:a.org 80');
  t.equal(ask('10.0.0.1', 80, http('10.0.0.9')), 'allow r * upgrade http-host:10.0.0.9 80');
  t.equal(ask('10.0.0.1', 80, http('[2001:DB8::9]')), 'allow r * upgrade http-host:2001:db8::9 80');
  t.equal(ask('10.0.0.1', 80, http(null)), 'deny name_required r');
  t.equal(ask('10.0.0.1', 80, http('not a name')), 'deny name_required r');
  t.equal(ask('10.0.0.1', 80, postgres), 'deny name_required r');
  t.equal(ask('10.0.0.1', 80, tls('a.org')), 'deny agent_tls_denied null');
  t.equal(ask('10.0.0.1', 80, unknown), 'deny undetected null');
  t.end();
});

t.test('HTTP by host name', (t) => {
  const ask = asker(`
destinations:
  - {name: web, hosts: [a.org, "*.b.org"], ports: [80], protocol: http, port_map: {80: 443}}
  - {name: one, hosts: [one.org], ports: [80]}
  - {name: renamed, hosts: [c.org], ports: [80], tls: {server_name: real.org}}
rules: [{name: r, destinations: [web, one, renamed], action: allow}]`);
  t.equal(ask('10.0.0.1', 80), 'inspect null');
  t.equal(ask('10.0.0.1', 81), 'deny no_rule null');
  t.equal(ask('10.0.0.1', 80, http('a.org')), 'allow r web upgrade http-host:a.org 443');
  t.equal(ask('10.0.0.1', 80, http('X.B.ORG.')), 'allow r web upgrade http-host:x.b.org 443');
  t.equal(ask('10.0.0.1', 80, http('b.org')), 'deny no_rule null');
  t.equal(ask('10.0.0.1', 80, http('x.y.b.org')), 'deny no_rule null');
  t.equal(ask('10.0.0.1', 80, http('one.org')), 'allow r one upgrade policy:one.org 80');
  t.equal(
    ask('10.0.0.1', 80, http('c.org')),
    'allow r renamed upgrade policy:real.org 80',
    'policy names the server',
  );
  t.equal(ask('10.0.0.1', 80, http('real.org')), 'deny no_rule null');
  t.equal(ask('10.0.0.1', 80, http(null)), 'deny name_required null');
  t.equal(ask('10.0.0.1', 80, postgres), 'deny name_required null');
  t.equal(ask('10.0.0.1', 80, tls('a.org')), 'deny agent_tls_denied null');
  t.equal(ask('10.0.0.1', 80, tls('z.org')), 'deny no_rule null');
  t.equal(ask('10.0.0.1', 80, unknown), 'deny undetected null');
  t.end();
});

t.test('names and ranges must both fit', (t) => {
  const ask = asker(`
destinations: [{name: d, hosts: [a.org], cidrs: [10.0.0.0/8], protocol: http}]
rules: [{name: r, destinations: [d], action: allow}]`);
  t.equal(ask('10.0.0.1', 80), 'inspect http');
  t.equal(ask('11.0.0.1', 80), 'deny no_rule null');
  t.equal(ask('11.0.0.1', 80, http('a.org')), 'deny no_rule null');
  t.equal(ask('::ffff:10.0.0.1', 80, http('a.org')), 'allow r d upgrade policy:a.org 80', 'v4-mapped');
  t.equal(ask('10.0.0.1', 80, http('b.org')), 'deny no_rule null');
  t.end();
});

t.test('all spellings of an IPv6 address are one', (t) => {
  const ask = asker(`
destinations: [{name: d, cidrs: ["2001:DB8:0::/48"]}]
rules: [{name: r, destinations: [d], action: deny}]`);
  for (const ip of ['2001:db8::1', '2001:0DB8:0000::0001', '2001:db8:0:ffff::']) {
    t.equal(ask(ip, 1), 'deny policy_denied r', ip);
  }
  t.equal(ask('2001:db8:1::', 1), 'deny no_rule null');
  t.end();
});

t.test('PostgreSQL is known by address; its server by policy', (t) => {
  const ask = asker(`
destinations: [{name: db, hosts: [db.org], ports: [5432], protocol: postgres}]
rules: [{name: r, destinations: [db], action: allow}]`);
  t.equal(ask('10.0.0.1', 5432), 'inspect postgres');
  t.equal(ask('10.0.0.1', 5432, postgres), 'allow r db upgrade policy:db.org 5432');
  t.equal(ask('10.0.0.1', 5432, http('db.org')), 'deny no_rule null');
  t.equal(ask('10.0.0.1', 5432, unknown), 'deny undetected null');
  t.equal(ask('10.0.0.1', 5432, tls(null)), 'deny agent_tls_denied null');
  t.end();
});

t.test('`auto` takes either, PostgreSQL only where policy names the server', (t) => {
  const ask = asker(`
destinations: [{name: d, cidrs: [10.0.0.1], tls: {server_name: s.org}}]
rules: [{name: r, destinations: [d], action: allow}]`);
  t.equal(ask('10.0.0.1', 1), 'inspect null');
  t.equal(
    ask('10.0.0.1', 1, http('other.org')),
    'allow r d upgrade policy:s.org 1',
    'the agent cannot choose another',
  );
  t.equal(ask('10.0.0.1', 1, postgres), 'allow r d upgrade policy:s.org 1');
  t.end();
});

t.test('`tls` wraps anything, and is decided at once', (t) => {
  const ask = asker(`
destinations: [{name: d, ports: [9000], protocol: tls, tls: {server_name: s.org}, port_map: {9000: 9443}}]
rules: [{name: r, destinations: [d], action: allow}]`);
  t.equal(ask('10.0.0.1', 9000), 'allow r d upgrade policy:s.org 9443');
  for (const seen of [http('x.org'), postgres, unknown]) {
    t.equal(ask('10.0.0.1', 9000, seen), 'allow r d upgrade policy:s.org 9443', seen.protocol);
  }
  t.equal(ask('10.0.0.1', 9000, tls('s.org')), 'deny agent_tls_denied null');
  t.end();
});

t.test('`tls` waits for the first bytes where they could change the answer', (t) => {
  const wrapped = '{name: w, ports: [9000], protocol: tls, tls: {server_name: s.org}}';
  const passing = asker(`
destinations: [${wrapped}]
rules: [{name: r, destinations: [w], action: allow, passthrough: true}]`);
  t.equal(passing('10.0.0.1', 9000), 'inspect null');
  t.equal(passing('10.0.0.1', 9000, unknown), 'allow r w upgrade policy:s.org 9000');
  t.equal(passing('10.0.0.1', 9000, tls('s.org')), 'allow r w passthrough unnamed 9000');
  const later = asker(`
destinations: [${wrapped}, {name: web, hosts: [a.org], ports: [9000]}]
rules: [{name: first, destinations: [web], action: allow}, {name: second, destinations: [w], action: allow}]`);
  t.equal(later('10.0.0.1', 9000), 'inspect null');
  t.equal(later('10.0.0.1', 9000, http('a.org')), 'allow first web upgrade policy:a.org 9000');
  t.equal(later('10.0.0.1', 9000, unknown), 'allow second w upgrade policy:s.org 9000');
  const denied = asker(`
destinations: [${wrapped}, {name: bad, hosts: [bad.org]}]
rules: [{name: r, destinations: [w], action: allow}, {name: no, destinations: [bad], action: deny}]`);
  t.equal(denied('10.0.0.1', 9000), 'inspect null');
  t.equal(denied('10.0.0.1', 9000, http('bad.org')), 'deny policy_denied no');
  t.equal(denied('10.0.0.1', 9000, unknown), 'allow r w upgrade policy:s.org 9000');
  t.end();
});

t.test('deny wins wherever it stands', (t) => {
  for (const rules of [
    '[{name: yes, action: allow}, {name: no, destinations: [d], action: deny, reason: closed}]',
    '[{name: no, destinations: [d], action: deny, reason: closed}, {name: yes, action: allow}]',
  ]) {
    const ask = asker(`destinations: [{name: d, cidrs: [10.0.0.0/8]}]\nrules: ${rules}`);
    t.equal(ask('10.0.0.1', 80), 'deny policy_denied no');
    t.equal(ask('10.0.0.1', 80, http('a.org')), 'deny policy_denied no');
    t.equal(ask('10.0.0.1', 80, unknown), 'deny policy_denied no');
    t.equal(ask('10.0.0.1', 80, tls('a.org')), 'deny policy_denied no');
    t.equal(ask('11.0.0.1', 80, http('a.org')), 'allow yes * upgrade http-host:a.org 80');
  }
  t.end();
});

t.test('deny by name, by protocol', (t) => {
  const ask = asker(`
destinations: [{name: bad, hosts: [bad.org]}, {name: pg, protocol: http, ports: [81]}]
rules: [{name: yes, action: allow, passthrough: true}, {name: no, destinations: [bad, pg], action: deny}]`);
  t.equal(ask('10.0.0.1', 80), 'inspect null');
  t.equal(ask('10.0.0.1', 80, http('BAD.org')), 'deny policy_denied no');
  t.equal(ask('10.0.0.1', 80, tls('bad.org')), 'deny policy_denied no');
  t.equal(ask('10.0.0.1', 80, tls('good.org')), 'allow yes * passthrough unnamed 80');
  t.equal(ask('10.0.0.1', 81, http('good.org')), 'deny policy_denied no');
  t.equal(ask('10.0.0.1', 81, tls('good.org')), 'deny policy_denied no', 'HTTP may be inside');
  t.end();
});

t.test('of allow and exempt the first in the document wins', (t) => {
  const base = `
destinations: [{name: d, cidrs: [10.0.0.0/8], ports: [80]}]
rules:
`;
  const exempt = '  - {name: plain, destinations: [d], action: exempt, reason: old}\n';
  const allow = '  - {name: safe, destinations: [d], action: allow}\n';
  t.equal(asker(base + exempt + allow)('10.0.0.1', 80), 'allow plain d exempt unnamed 80');
  t.equal(asker(base + allow + exempt)('10.0.0.1', 80), 'inspect null');
  const ask = asker(base + allow + exempt);
  t.equal(ask('10.0.0.1', 80, http('a.org')), 'allow safe d upgrade http-host:a.org 80');
  t.equal(
    ask('10.0.0.1', 80, http(null)),
    'deny name_required safe',
    'it does not fall through to plain text',
  );
  t.equal(ask('10.0.0.1', 80, unknown), 'allow plain d exempt unnamed 80');
  t.equal(ask('10.0.0.1', 80, tls(null)), 'allow plain d exempt unnamed 80');
  t.end();
});

t.test('exempt by protocol or by Host header is for what was read', (t) => {
  const ask = asker(`
destinations:
  - {name: host, hosts: [a.org, b.org], cidrs: [10.0.0.0/8], ports: [80], port_map: {80: 443}}
  - {name: pg, cidrs: [10.0.0.0/8], ports: [5432], protocol: postgres, tls: {server_name: x.org}}
rules: [{name: r, destinations: [host, pg], action: exempt, reason: old}]`);
  t.equal(ask('10.0.0.1', 80), 'inspect http');
  t.equal(ask('10.0.0.1', 80, http('b.org')), 'allow r host exempt unnamed 80', 'and its port is not mapped');
  t.equal(ask('10.0.0.1', 80, http('c.org')), 'deny no_rule null');
  t.equal(ask('10.0.0.1', 80, http(null)), 'deny name_required null');
  t.equal(ask('11.0.0.1', 80, http('b.org')), 'deny no_rule null');
  t.equal(ask('10.0.0.1', 80, tls('b.org')), 'deny agent_tls_denied null', 'an SNI is no Host header');
  t.equal(ask('10.0.0.1', 80, { ...postgres, name: 'b.org' }), 'deny name_required null');
  t.equal(ask('10.0.0.1', 5432), 'inspect postgres');
  t.equal(ask('10.0.0.1', 5432, postgres), 'allow r pg exempt unnamed 5432');
  t.equal(ask('10.0.0.1', 5432, unknown), 'deny undetected null');
  t.equal(ask('10.0.0.1', 5432, http('x.org')), 'deny no_rule null');
  t.end();
});

t.test('replication', (t) => {
  const replication: Seen = { ...postgres, replication: true };
  const ask = asker(`
destinations:
  - {name: db, cidrs: [10.0.0.1], protocol: postgres, tls: {server_name: db.org}}
  - {name: any, cidrs: [10.0.0.2], tls: {server_name: db.org}}
  - {name: wrapped, cidrs: [10.0.0.3], protocol: tls, tls: {server_name: db.org}}
  - {name: lab, cidrs: [10.0.0.4], protocol: postgres}
  - {name: open, cidrs: [10.0.0.5]}
  - {name: standby, cidrs: [10.0.0.6], protocol: postgres, tls: {server_name: db.org}}
rules:
  - {name: r, destinations: [db, any, wrapped, standby], action: allow}
  - {name: plain, destinations: [lab, open], action: exempt, reason: x}
  - {name: backup, destinations: [standby, any], action: allow, replication: true}
  - {name: no-backup, destinations: [any], action: deny, reason: x, agents: [b]}`);
  t.equal(ask('10.0.0.1', 1, postgres), 'allow r db upgrade policy:db.org 1');
  t.equal(ask('10.0.0.1', 1, replication), 'deny replication_denied null');
  t.equal(
    ask('10.0.0.2', 1, replication),
    'allow backup any upgrade policy:db.org 1',
    'a later rule allows it',
  );
  t.equal(ask('10.0.0.3', 1, replication), 'allow r wrapped upgrade policy:db.org 1', 'not read');
  t.equal(ask('10.0.0.4', 1, replication), 'deny replication_denied null', 'plain, but read');
  t.equal(ask('10.0.0.4', 1, postgres), 'allow plain lab exempt unnamed 1');
  t.equal(ask('10.0.0.5', 1, replication), 'allow plain open exempt unnamed 1', 'whatever comes');
  t.equal(ask('10.0.0.6', 1, replication), 'allow backup standby upgrade policy:db.org 1');
  t.equal(ask('10.0.0.6', 1, postgres), 'allow r standby upgrade policy:db.org 1');
  t.end();
});

t.test('passthrough', (t) => {
  const ask = asker(`
destinations:
  - {name: named, hosts: [a.org], cidrs: [10.0.0.0/8], ports: [443], port_map: {443: 444}}
  - {name: placed, cidrs: [10.1.0.0/16], ports: [443]}
rules:
  - {name: strict, destinations: [placed], action: allow}
  - {name: pass, destinations: [named], action: allow, passthrough: true}`);
  t.equal(ask('10.0.0.1', 443), 'inspect null');
  t.equal(
    ask('10.0.0.1', 443, tls('A.org')),
    'allow pass named passthrough unnamed 443',
    'its port is not mapped',
  );
  t.equal(ask('10.0.0.1', 443, tls('b.org')), 'deny no_rule null');
  t.equal(ask('10.0.0.1', 443, tls(null)), 'deny name_required null');
  t.equal(
    ask('10.1.0.1', 443, tls('a.org')),
    'allow pass named passthrough unnamed 443',
    'a later rule may let it pass',
  );
  t.equal(ask('10.1.0.1', 443, tls('b.org')), 'deny agent_tls_denied null');
  t.equal(ask('10.1.0.1', 443, tls(null)), 'deny agent_tls_denied null');
  t.equal(ask('10.0.0.1', 443, http('a.org')), 'allow pass named upgrade policy:a.org 444');
  t.equal(ask('10.0.0.1', 443, { protocol: 'tls', agentTls: false, name: 'b.org' }), 'deny no_rule null');
  t.end();
});

t.test('an agent that asks for TLS in PostgreSQL’s words', (t) => {
  const ask = asker(`
destinations:
  - {name: web, cidrs: [10.0.0.1], protocol: http}
  - {name: pg, cidrs: [10.0.0.1], protocol: postgres, tls: {server_name: x.org}}
rules: [{name: r, destinations: [web, pg], action: allow, passthrough: true}]`);
  t.equal(ask('10.0.0.1', 1, { ...postgres, agentTls: true }), 'allow r pg passthrough unnamed 1');
  t.equal(ask('10.0.0.1', 1, tls(null)), 'allow r web passthrough unnamed 1');
  t.end();
});

t.test('a protocol to answer in, where all candidates agree', (t) => {
  const ask = (first: string, second: string) =>
    asker(`
destinations:
  - {name: d1, protocol: ${first}, cidrs: [10.0.0.1], tls: {server_name: x.org}}
  - {name: d2, protocol: ${second}, cidrs: [10.0.0.1], tls: {server_name: x.org}}
rules: [{name: r, destinations: [d1], action: allow}, {name: s, destinations: [d2], action: allow}]`)(
      '10.0.0.1',
      1,
    );
  t.equal(ask('http', 'http'), 'inspect http');
  t.equal(ask('postgres', 'postgres'), 'inspect postgres');
  t.equal(ask('http', 'postgres'), 'inspect null');
  t.equal(ask('http', 'auto'), 'inspect null');
  t.equal(ask('auto', 'http'), 'inspect null');
  t.equal(ask('http', 'tls'), 'inspect null');
  t.end();
});

t.test('reasons are sentences, and the rule’s own where it has one', (t) => {
  const policy = preparePolicy(
    policyOf(`
agents: [{name: a, match: [{uid: 1}]}]
destinations: [{name: x, ports: [1]}, {name: y, ports: [2]}, {name: z, cidrs: [10.0.0.1], ports: [3]}]
rules:
  - {name: no, destinations: [x], action: deny, reason: closed for good}
  - {name: bare, destinations: [y], action: deny}
  - {name: old, destinations: [z], action: exempt, reason: no TLS there}`),
  );
  const ask = (port: number) => decide(policy, { agent: 'a', ip: '10.0.0.1', port });
  t.match(ask(1), { reason: 'closed for good' });
  t.match(ask(2), { reason: 'the rule "bare" denies it' });
  t.match(ask(3), { reason: 'no TLS there' });
  t.match(ask(4), { reason: 'no rule allows this destination' });
  t.end();
});

t.test('the name an agent resolved, where its protocol gives none', (t) => {
  const policy = preparePolicy(
    policyOf(`agents: [{name: a, match: [{uid: 1}]}]
destinations:
  - {name: named, hosts: [a.org, "*.b.org"], ports: [1], protocol: tls}
  - {name: any, ports: [2], protocol: tls}
  - {name: fixed, ports: [3], protocol: tls, tls: {server_name: fixed.org}}
  - {name: db, hosts: [db.org, "*.db.org"], ports: [4], protocol: postgres}
  - {name: auto, hosts: [a.org], ports: [5]}
  - {name: plain, cidrs: [10.0.0.1], ports: [6]}
  - {name: evil, hosts: [evil.org, evil2.org], cidrs: [0.0.0.0/0], protocol: tls}
rules:
  - {name: no, destinations: [evil], action: deny}
  - {name: r, destinations: [named, any, fixed, db, auto], action: allow}
  - {name: x, destinations: [plain], action: exempt, reason: x}`),
  );
  const ask = (port: number, dnsName: string | null, seen?: Seen): string => {
    const question = { agent: 'a', ip: '10.0.0.1', port, dnsName };
    return short(decide(policy, seen === undefined ? question : { ...question, seen }));
  };
  t.equal(ask(1, 'A.org.'), 'allow r named upgrade dns:a.org 1', 'at once: nothing need be read');
  t.equal(ask(1, 'x.b.org'), 'allow r named upgrade dns:x.b.org 1');
  t.equal(ask(1, 'c.org'), 'deny no_rule null');
  t.equal(ask(1, null), 'deny name_required null');
  t.equal(ask(1, 'a.org', http('x.b.org')), 'allow r named upgrade dns:a.org 1', 'what is wrapped is unread');
  t.equal(ask(2, 'any.org'), 'allow r any upgrade dns:any.org 2');
  t.equal(ask(2, null), 'deny name_required r');
  t.equal(ask(3, 'a.org'), 'allow r fixed upgrade policy:fixed.org 3', 'policy goes first');
  t.equal(ask(4, 'x.db.org'), 'inspect postgres');
  t.equal(ask(4, 'x.db.org', postgres), 'allow r db upgrade dns:x.db.org 4');
  t.equal(ask(4, null, postgres), 'deny name_required null');
  t.equal(ask(5, 'b.org', http('a.org')), 'allow r auto upgrade policy:a.org 5', 'a Host goes first');
  t.equal(ask(5, 'a.org', http('b.org')), 'deny no_rule null');
  t.equal(ask(5, 'a.org', postgres), 'allow r auto upgrade policy:a.org 5');
  t.equal(ask(5, 'a.org', tls(null)), 'deny agent_tls_denied null', 'the agent’s own TLS goes by its SNI');
  t.equal(ask(6, 'a.org'), 'allow x plain exempt unnamed 6', 'nothing would prove it');
  t.equal(ask(2, 'evil.org'), 'deny policy_denied no');

  const wants = (port: number, seen?: Seen): boolean => {
    const question = { agent: 'a', ip: '192.0.2.1', port };
    return needsDnsName(policyWithoutDeny, seen === undefined ? question : { ...question, seen });
  };
  const policyWithoutDeny = preparePolicy({ ...policy.source, rules: policy.source.rules.slice(1) });
  t.equal(wants(1), true);
  t.equal(wants(2), true);
  t.equal(wants(3), false, 'it changes nothing');
  t.equal(wants(4), true);
  t.equal(wants(5), false, 'not before it is known to be no HTTP');
  t.equal(wants(5, postgres), true);
  t.equal(wants(5, http('a.org')), false);
  t.equal(wants(5, http(null)), true);
  t.equal(wants(5, tls('a.org')), false);
  t.equal(wants(7), false);
  t.equal(needsDnsName(policy, { agent: 'a', ip: '192.0.2.1', port: 7 }), true, 'a deny rule may fit');
  t.end();
});
