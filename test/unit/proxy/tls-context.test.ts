import t from 'tap';
import { systemCa, TlsContexts } from '#src/proxy/tls-context.ts';
import { makeCertificates } from '#test/support/certificates.ts';
import { destination, policy, rule } from './harness.ts';

const certificates = await makeCertificates((remove) => t.teardown(remove));
const tls = {
  serverName: null,
  ca: certificates.ca,
  minVersion: 'TLSv1.2',
  negotiation: 'postgres',
  clientCertificate: null,
} as const;

t.test('destinations with the same settings share one context, others do not', async (t) => {
  const contexts = new TlsContexts({ systemCa: () => certificates.ca });
  const one = contexts.contextFor(destination({ name: 'one', tls }));
  t.equal(contexts.contextFor(destination({ name: 'two', tls: { ...tls } })), one);
  t.not(contexts.contextFor(destination({ tls: { ...tls, minVersion: 'TLSv1.3' } })), one);
  const withClient = { ...tls, clientCertificate: certificates.client };
  t.not(contexts.contextFor(destination({ tls: withClient })), one);
});

t.test('what did not change is taken over from the revision before, sessions are not', async (t) => {
  const compiled = policy([destination({ tls })], [rule({ destinations: [] })]);
  const before = new TlsContexts({ systemCa: () => certificates.ca });
  before.warm(compiled, null);
  before.resumption.keep('key', Buffer.from('x'), { sha256: '', notAfter: 1e15, group: null }, null);
  const after = new TlsContexts({ systemCa: () => certificates.ca });
  after.warm(policy([destination({ tls: { ...tls } })], [rule()]), before);
  t.equal(after.contextFor(destination({ tls })), before.contextFor(destination({ tls })));
  t.equal(after.resumption.size, 0);
});

t.test('a setting that cannot be used does not fail the policy, only its flows', async (t) => {
  const broken = destination({ tls: { ...tls, clientCertificate: { cert: 'x', key: 'y' } } });
  const contexts = new TlsContexts({ systemCa: () => certificates.ca });
  contexts.warm(policy([broken], [rule()]), null);
  t.throws(() => contexts.contextFor(broken), /TLS settings are unusable/);
});

t.test("the system's store is read once, without duplicates", async (t) => {
  const pem = systemCa();
  const all = pem.match(/-----BEGIN CERTIFICATE-----/g) ?? [];
  t.equal(
    new Set(pem.split(/(?=-----BEGIN CERTIFICATE-----)/).map((one) => one.trim())).size,
    Math.max(all.length, 1),
  );
  t.equal(systemCa(), pem);
});
