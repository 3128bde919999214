import t from 'tap';
import { errorsOf } from '#test/support/policy-text.ts';

/** The one error of a document. */
function error(text: string): string {
  const errors = errorsOf(text);
  if (errors.length !== 1) return `${errors.length} errors:\n${errors.join('\n')}`;
  return errors[0] ?? '';
}

const AGENT = 'agents: [{name: a, match: [{uid: 1}]}]\n';

t.test('unknown keys, at their own place, with the nearest known key', (t) => {
  t.equal(error('agnets: []'), '2:1 agnets: unknown key "agnets" | did you mean "agents"?');
  t.equal(
    error('destinations:\n  - name: d\n    tls: {servername: x}'),
    '4:11 destinations[0].tls.servername: unknown key "servername" | did you mean "server_name"?',
  );
  t.match(
    error('rules: [{name: r, action: deny, when: never}]'),
    /unknown key "when" \| known: name, agents/,
  );
  t.match(error('__proto__: {}'), /unknown key "__proto__"/);
  t.match(error('<<: {rules: []}'), /unknown key "<<"/);
  t.end();
});

t.test('missing keys, at the thing that lacks them', (t) => {
  t.match(error('agents:\n  - match: [{uid: 1}]'), /^3:5 agents\[0\]: "name" is missing/);
  t.match(
    error('agents:\n  - name: a'),
    /^3:5 agents\[0\]: "match" is missing \| A process is this agent if/,
  );
  t.match(error(`${AGENT}rules:\n  - {name: r}`), /^4:5 rules\[0\]: "action" is missing \| allow: with TLS/);
  t.match(
    error('destinations: [{name: d, tls: {client_certificate: {cert: client.pem}}}]'),
    /client_certificate: "key" is missing/,
  );
  t.match(
    error('agents: [{name: a, match: [{slice: x.slice, uid: 3}]}]'),
    /must have exactly one of unit, slice, cgroup/,
  );
  t.end();
});

t.test('wrong types', (t) => {
  t.match(error('agents: {a: b}'), /^2:9 agents: must be a list \|/);
  t.match(error('agents:\n'), /^2:8 agents: is empty; must be a list/);
  t.match(error('agents: [{name: a, match: [{uid: [1000]}]}]'), /uid: must be a number or text \| A user id/);
  t.match(error('agents: [{name: 8, match: [{uid: 1}]}]'), /name: must be text/);
  t.match(error('rules: [{name: r, action: allow, passthrough: yes}]'), /must be true or false/);
  t.match(error('destinations: [{name: d, ports: [[1]]}]'), /ports\[0\]: must be a number or text/);
  t.match(error('rules: [text]'), /rules\[0\]: must be a mapping/);
  t.end();
});

t.test('wrong values', (t) => {
  for (const other of ['{}', '[{}]', 'null'])
    t.match(
      errorsOf(`rules: [{name: r, action: ${other}}]`).join('\n'),
      /must be one of allow, deny, exempt/,
    );
  t.match(
    error('rules: [{name: r, action: alow}]'),
    /must be one of allow, deny, exempt \| did you mean "allow"\?/,
  );
  t.match(error('destinations: [{name: d, protocol: mysql}]'), /must be one of auto, http, postgres, tls/);
  t.match(error('destinations: [{name: d, tls: {min_version: "1.1"}}]'), /must be one of 1\.2, 1\.3 \|/);
  t.match(error('destinations: [{name: d, ports: [65536]}]'), /must be <= 65535/);
  t.match(error('destinations: [{name: d, ports: [0]}]'), /must be >= 1/);
  t.match(
    error('destinations: [{name: d, ports: ["80 - 90"]}]'),
    /"80 - 90" is not valid here \| .*8000-8010/,
  );
  t.match(error('destinations: [{name: d, port_map: {http: 443}}]'), /^2:37 .*"http" is not a port/);
  t.match(error('destinations: [{name: d, port_map: {65536: 443}}]'), /"65536" is not a port/);
  t.match(error('destinations: [{name: d, port_map: {80: 70000}}]'), /must be <= 65535/);
  t.match(error('agents: [{name: a/b, match: [{uid: 1}]}]'), /"a\/b" is not valid here \| A letter or digit/);
  t.match(error('agents: [{name: a, match: [{uid: 4294967295}]}]'), /must be <= 4294967294/);
  t.match(error('agents: [{name: a, match: [{run: ../../x}]}]'), /is not valid here/);
  t.match(error('trust_domain: Example.org'), /is not valid here \| SPIFFE trust domain/);
  t.match(error('limits: {detect_timeout_ms: 0}'), /must be >= 10/);
  t.end();
});

t.test('an empty list would mean "any" and is refused', (t) => {
  for (const text of [
    'destinations: [{name: d, hosts: []}]',
    'destinations: [{name: d, cidrs: []}]',
    'destinations: [{name: d, ports: []}]',
    'rules: [{name: r, action: deny, agents: []}]',
    'rules: [{name: r, action: deny, destinations: []}]',
    'agents: [{name: a, match: []}]',
  ]) {
    t.match(error(text), /must not be an empty list/, text);
  }
  t.end();
});

t.test('one way of matching per entry', (t) => {
  t.match(error('agents: [{name: a, match: [{uid: 1, exe: /bin/sh}]}]'), /must have exactly one of unit/);
  t.match(error('agents: [{name: a, match: [{}]}]'), /must have exactly one of unit/);
  t.end();
});

t.test('an exemption says why', (t) => {
  const rule = (reason: string): string =>
    `destinations: [{name: d, cidrs: [10.0.0.1]}]\nrules: [{name: r, destinations: [d], action: exempt${reason}}]`;
  t.match(error(rule('')), /"reason" is missing \| .*why plain text/);
  t.match(error(rule(', reason: ""')), /must not be empty/);
  t.strictSame(errorsOf(rule(', reason: legacy scanner')), []);
  t.end();
});

t.test('other versions and documents that are no policy', (t) => {
  const options = { path: '/p.yaml', readFile: () => '' };
  t.match(errorsOf('version: 2', options).join(), /stands here twice/);
  return import('#src/policy/load.ts').then(({ compilePolicy }) => {
    t.throws(() => compilePolicy('version: 2', options), { message: /must be 1 \(Version of the document/ });
    t.throws(() => compilePolicy('version: "1"', options), { message: /must be 1/ });
    t.throws(() => compilePolicy('', options), { message: /is empty; must be a mapping/ });
    t.throws(() => compilePolicy('[]', options), { message: /must be a mapping/ });
    t.throws(() => compilePolicy('rules: []', options), { message: /"version" is missing/ });
  });
});
