import t from 'tap';
import { readCertificates, readKey, validityWarning } from '#src/policy/pem.ts';
import { FIXTURE_TIME_MS, fixture } from '#test/support/policy-text.ts';

function certificates(text: string) {
  const result = readCertificates(text);
  if (!result.ok) throw new Error(result.message);
  return result.value;
}

t.test('keeps the certificates of a file and nothing else', (t) => {
  const bundle = `# two CAs\n${fixture('ca.pem')}${fixture('client.key')}between\n${fixture('other-ca.pem')}`;
  const { pem, list } = certificates(bundle);
  t.equal(list.length, 2);
  t.notMatch(pem, /PRIVATE KEY/);
  t.notMatch(pem, /between|two CAs/);
  t.equal(certificates(pem).list.length, 2, 'what was kept can be read again');
  t.equal(certificates(fixture('ca.pem').replaceAll('\n', '\r\n')).list.length, 1);
  t.end();
});

t.test('what holds no certificate is refused', (t) => {
  t.match(readCertificates(''), { ok: false, message: /holds no PEM certificate/ });
  t.match(readCertificates(fixture('client.key')), { ok: false, message: /holds no PEM certificate/ });
  const broken = `${fixture('ca.pem')}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`;
  t.match(readCertificates(broken), { ok: false, message: /certificate 2 cannot be read/ });
  t.match(readCertificates(fixture('ca.pem').slice(0, -40)), { ok: false });
  t.end();
});

t.test('a key must be readable and belong to its certificate', (t) => {
  const [certificate = null] = certificates(fixture('client.pem')).list;
  t.match(readKey(fixture('client.key'), certificate), { ok: true, value: /^-----BEGIN PRIVATE KEY-----/ });
  t.match(readKey(fixture('other.key'), certificate), { ok: false, message: /does not belong/ });
  t.match(readKey(fixture('encrypted.key'), certificate), { ok: false, hint: /not encrypted/ });
  t.match(readKey(fixture('client.pem'), certificate), { ok: false, message: /no private key/ });
  t.match(readKey('', null), { ok: false });
  t.end();
});

t.test('certificates out of their time', (t) => {
  const { list } = certificates(fixture('ca.pem') + fixture('client.pem'));
  const one = list.slice(0, 1);
  t.equal(validityWarning(list, FIXTURE_TIME_MS), null);
  t.match(validityWarning(one, Date.UTC(2200)), /^the certificate is out of its time: expired on 21\d\d-/);
  t.match(
    validityWarning(list, Date.UTC(2200)),
    /^2 of 2 certificates are out of their time: the first expired/,
  );
  t.match(validityWarning(one, 0), /not valid before 20\d\d-/);
  t.end();
});
