import t from 'tap';
import { CLOSED_BY_DEFAULT } from '#src/policy/closed-sockets.ts';
import { fixture, policyOf } from '#test/support/policy-text.ts';

t.test('an empty policy governs nobody and allows nothing', (t) => {
  const { revision, ...rest } = policyOf('');
  t.match(revision, /^[0-9a-f]{12}$/);
  t.strictSame(rest, {
    trustDomain: 'sluice.internal',
    spiffeTemplate: 'spiffe://{trust_domain}/host/{host}/agent/{agent}',
    resolvers: null,
    dns: {
      names: 'any',
      nameLife: { graceSeconds: 30, maxSeconds: 3600 },
      queriesPerSecond: 500,
      record: 'all',
    },
    agents: [],
    destinations: [],
    rules: [],
    operations: [],
    masks: [],
    detectors: [],
    maskKeys: [],
    inbound: [],
    enforcement: { minimum: 'base' },
    closedSockets: [...CLOSED_BY_DEFAULT],
    limits: { detectTimeoutMs: 3000, connectTimeoutMs: 10000, handshakeTimeoutMs: 10000 },
  });
  t.end();
});

t.test('everything that is written arrives, in one spelling', (t) => {
  const policy = policyOf(
    `
trust_domain: example.org
identity: {spiffe_id: "spiffe://{trust_domain}/{agent}"}
dns:
  {resolvers: ["::ffff:10.0.0.53", "2001:DB8:0::53"], names: policy, queries_per_second: 7, record: refused,
   name_grace_seconds: 0, name_max_seconds: 60}
enforcement: {minimum: lsm}
unix_sockets: {deny: [/run/engine.sock]}
limits: {detect_timeout_ms: 1, connect_timeout_ms: 2000, handshake_timeout_ms: 3000}
`.replace('detect_timeout_ms: 1,', 'detect_timeout_ms: 1000,'),
  );
  t.match(policy, {
    trustDomain: 'example.org',
    spiffeTemplate: 'spiffe://{trust_domain}/{agent}',
    resolvers: ['10.0.0.53', '2001:db8::53'],
    dns: {
      names: 'policy',
      nameLife: { graceSeconds: 0, maxSeconds: 60 },
      queriesPerSecond: 7,
      record: 'refused',
    },
    enforcement: { minimum: 'lsm' },
    closedSockets: [...CLOSED_BY_DEFAULT, '/run/engine.sock'],
    limits: { detectTimeoutMs: 1000, connectTimeoutMs: 2000, handshakeTimeoutMs: 3000 },
  });
  t.strictSame(policyOf('dns: {resolvers: []}').resolvers, [], 'none is not the default');
  t.end();
});

t.test('inbound rules', (t) => {
  const { inbound } = policyOf(`
agents: [{name: web, match: [{uid: 1}]}]
inbound:
  - {name: nginx, agents: [web], ports: [8080, "9000-9002"], from: [127.0.0.0/8, 127.0.0.1], action: exempt, reason: x}
`);
  t.match(inbound, [
    {
      name: 'nginx',
      agents: ['web'],
      protocol: 'tcp',
      ports: [
        [8080, 8080],
        [9000, 9002],
      ],
      ranges: [['00000000000000000000ffff7f000000', '00000000000000000000ffff7fffffff']],
      reason: 'x',
    },
  ]);
  t.ok((inbound[0]?.id ?? 0) > 0);
  t.end();
});

t.test('destinations', (t) => {
  const { destinations } = policyOf(`
destinations:
  - name: full
    hosts: [API.Example.org., "*.example.ORG"]
    cidrs: [10.0.0.0/8, "::/0"]
    ports: [80, "8000-8010"]
    protocol: http
    tls:
      server_name: Api.example.org
      ca: ca.pem
      min_version: 1.3
      client_certificate: {cert: client.pem, key: client.key}
    port_map: {80: 443}
  - name: bare
`);
  const [full, bare] = destinations;
  t.match(full, {
    hosts: ['api.example.org', '*.example.org'],
    ports: [
      [80, 80],
      [8000, 8010],
    ],
    protocol: 'http',
    tls: { serverName: 'api.example.org', ca: fixture('ca.pem'), minVersion: 'TLSv1.3' },
    portMap: { 80: 443 },
  });
  t.equal(full?.ranges.length, 3, '::/0 goes around the IPv4 block');
  t.equal(full?.tls.clientCertificate?.cert, fixture('client.pem'));
  t.match(full?.tls.clientCertificate?.key, /BEGIN PRIVATE KEY/);
  t.strictSame(bare, {
    name: 'bare',
    hosts: [],
    ranges: [],
    ports: [],
    protocol: 'auto',
    tls: {
      serverName: null,
      ca: null,
      minVersion: 'TLSv1.2',
      negotiation: 'postgres',
      clientCertificate: null,
    },
    portMap: {},
  });
  t.end();
});

t.test('agents and rules', (t) => {
  const policy = policyOf(`
agents: [{name: a, groups: [finance], match: [{uid: 1}]}]
rules:
  - {name: r, agents: [a], action: allow, passthrough: true, replication: true, reason: because}
  - {name: s, action: deny}
`);
  t.strictSame(policy.agents[0]?.groups, ['finance']);
  t.strictSame(policy.rules, [
    {
      name: 'r',
      agents: ['a'],
      destinations: [],
      action: 'allow',
      passthrough: true,
      replication: true,
      reason: 'because',
    },
    {
      name: 's',
      agents: [],
      destinations: [],
      action: 'deny',
      passthrough: false,
      replication: false,
      reason: null,
    },
  ]);
  t.end();
});

t.test('is plain data: JSON brings it to the workers whole', (t) => {
  const policy = policyOf(`
agents: [{name: a, match: [{uid: 1}]}]
destinations: [{name: d, cidrs: [10.0.0.0/8], port_map: {80: 443}, tls: {ca: ca.pem}}]
rules: [{name: r, destinations: [d], action: deny}]
`);
  t.strictSame(JSON.parse(JSON.stringify(policy)), policy);
  t.end();
});
