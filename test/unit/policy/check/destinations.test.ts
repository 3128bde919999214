import t from 'tap';
import { errorsOf, fixture, warningsOf } from '#test/support/policy-text.ts';

const destination = (rest: string): string => `destinations:\n  - {name: d, ${rest}}`;

t.test('names, hosts, ranges, ports', (t) => {
  t.match(errorsOf('destinations: [{name: d}, {name: d}]'), [/another destination is named "d"/]);
  t.match(errorsOf(destination('hosts: [a.org, 10.0.0.1, "a b"]')), [
    /^3:30 .*hosts\[1\].*`cidrs`/,
    /hosts\[2\]/,
  ]);
  t.match(errorsOf(destination('cidrs: [10.0.0.1/8, ::/129, db]')), [
    /cidrs\[0\].*10\.0\.0\.0\/8/,
    /cidrs\[1\]/,
    /cidrs\[2\]/,
  ]);
  t.match(errorsOf(destination('ports: [9-8, "0", "70000", "1-70000"]')).length, 4);
  t.match(errorsOf(destination('ports: [9-8]')), [/from the lower to the higher port/]);
  t.match(errorsOf(destination('tls: {server_name: "*.example.org"}')), [/server_name.*without a star/]);
  t.end();
});

t.test('a mapped port must be one of the destination', (t) => {
  t.strictSame(errorsOf(destination('ports: [80, "8000-8010"], port_map: {80: 443, 8005: 8443}')), []);
  t.strictSame(errorsOf(destination('port_map: {80: 443}')), [], 'any port');
  t.equal(
    errorsOf(destination('ports: [{}, [], null], port_map: {80: 443}')).length,
    3,
    'what is neither text nor number is told once',
  );
  t.match(errorsOf(destination('ports: [443], port_map: {80: 443}')), [
    /port 80 is not among the destination's ports/,
  ]);
  t.end();
});

t.test('how TLS begins is said of PostgreSQL only', (t) => {
  const negotiated = (rest: string): string[] => errorsOf(destination(`ports: [1], ${rest}`));
  t.strictSame(negotiated('protocol: postgres, tls: {negotiation: direct}'), []);
  t.strictSame(negotiated('tls: {negotiation: direct}'), [], 'which `auto` may find');
  for (const protocol of ['http', 'tls'])
    t.match(negotiated(`protocol: ${protocol}, tls: {negotiation: direct}`), [
      /tls\.negotiation.*`protocol: \w+` is not.*`protocol: postgres`/,
    ]);
  t.match(negotiated('tls: {negotiation: ssl}'), [/negotiation/]);
  t.end();
});

t.test('files are what they should be', (t) => {
  t.strictSame(
    errorsOf(destination('tls: {ca: ca.pem, client_certificate: {cert: client.pem, key: client.key}}')),
    [],
  );
  t.strictSame(errorsOf(destination('tls: {ca: system}')), []);
  t.match(errorsOf(destination('tls: {ca: gone.pem}')), [
    /^3:\d+ destinations\[0\]\.tls\.ca: gone\.pem cannot be read: ENOENT \| looked for at \//,
  ]);
  t.match(errorsOf(destination('tls: {ca: client.key}')), [/client\.key holds no PEM certificate/]);
  t.match(errorsOf(destination('tls: {ca: .}')), [/cannot be read: EISDIR/]);
  t.match(errorsOf(destination('tls: {client_certificate: {cert: client.pem, key: other.key}}')), [
    /\.key: other\.key does not belong to the certificate/,
  ]);
  t.match(errorsOf(destination('tls: {client_certificate: {cert: client.pem, key: encrypted.key}}')), [
    /not encrypted/,
  ]);
  t.match(errorsOf(destination('tls: {client_certificate: {cert: gone, key: gone}}')).length, 2);
  t.end();
});

t.test('no error holds anything of a key', (t) => {
  const secret = fixture('client.key').split('\n')[1] ?? '';
  const broken = { readFile: () => fixture('client.key').replace('M', '!') };
  const text = destination('tls: {ca: k, client_certificate: {cert: k, key: k}}');
  const errors = errorsOf(text, broken).join('\n');
  t.match(errors, /no private key/);
  t.notOk(errors.includes(secret.slice(10, 30)));
  t.end();
});

t.test('certificates out of their time are warnings', (t) => {
  const text = destination('tls: {ca: ca.pem, client_certificate: {cert: client.pem, key: client.key}}');
  t.strictSame(warningsOf(text), []);
  t.match(warningsOf(text, { nowMs: Date.UTC(2200) }), [
    /^3:\d+ destinations\[0\]\.tls\.ca: ca\.pem: the certificate is out of its time: expired/,
    /client\.pem: the certificate is out of its time/,
  ]);
  t.end();
});

t.test(
  'where the protocol names no server, policy does, or says where, or goes by the names agents resolve',
  (t) => {
    for (const protocol of ['tls', 'postgres']) {
      const errors = (rest: string): string[] => errorsOf(destination(`protocol: ${protocol}, ${rest}`));
      t.strictSame(errors('ports: [5432], hosts: [db.example.org]'), []);
      t.strictSame(errors('ports: [5432], tls: {server_name: db.example.org}'), []);
      t.strictSame(errors('cidrs: [10.0.0.0/8], tls: {server_name: 10.0.0.1}'), []);
      t.strictSame(errors('ports: [5432], hosts: [DB.example.org.], tls: {server_name: db.example.org}'), []);
      t.strictSame(errors('ports: [5432]'), []);
      t.strictSame(errors('hosts: [a.org, b.org]'), []);
      t.strictSame(errors('hosts: ["*.org"]'), []);
      t.strictSame(errors('hosts: [a.org], tls: {server_name: b.org}'), []);
      t.match(errors('hosts: [a.org]'), [/needs `cidrs` or `ports`/], 'one name is only verified');
      t.match(errors('tls: {server_name: a.org}'), [/needs `cidrs` or `ports`/]);
    }
    t.strictSame(errorsOf(destination('protocol: http')), [], 'an HTTP request names its server');
    t.end();
  },
);
