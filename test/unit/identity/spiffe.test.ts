import t from 'tap';
import { encodeSpiffeValue, formatSpiffeId, isSpiffeId } from '#src/identity/spiffe.ts';

const VALUES = {
  trust_domain: 'example.org',
  host: 'db1',
  agent: 'billing',
  uid: '1001',
  unit: 'user@1000.service/x.service',
  exe: '/usr/bin/python3',
};

/** The inverse, as the documentation gives it. */
function decode(text: string): string {
  const bytes = text.replaceAll(/__|_([0-9A-F]{2})/g, (all, hex: string | undefined) =>
    all === '__' ? '_' : String.fromCharCode(Number.parseInt(hex ?? '', 16)),
  );
  return Buffer.from(bytes, 'latin1').toString();
}

t.test('fills in the template', async (t) => {
  t.equal(
    formatSpiffeId('spiffe://{trust_domain}/host/{host}/agent/{agent}', VALUES),
    'spiffe://example.org/host/db1/agent/billing',
  );
  t.equal(
    formatSpiffeId('spiffe://{trust_domain}/{uid}/{unit}/{exe}', VALUES),
    'spiffe://example.org/1001/user_401000.service_2Fx.service/_2Fusr_2Fbin_2Fpython3',
  );
});

t.test('says nothing rather than less', async (t) => {
  const template = 'spiffe://{trust_domain}/{agent}';
  t.equal(formatSpiffeId(template, { ...VALUES, agent: null }), null);
  t.equal(formatSpiffeId(template, { ...VALUES, agent: '' }), null);
  t.equal(formatSpiffeId('spiffe://{trust_domain}/{constructor}', VALUES), null);
  t.equal(formatSpiffeId(template, { ...VALUES, trust_domain: 'Example.org' }), null);
  t.equal(formatSpiffeId(template, { ...VALUES, trust_domain: 'a/b' }), null);
  t.equal(formatSpiffeId(template, { ...VALUES, agent: 'x'.repeat(2_048) }), null, 'too long');
  t.equal(formatSpiffeId('spiffe://{trust_domain}/..', VALUES), null);
});

t.test('no value becomes another by being written', async (t) => {
  const alphabet = ['a', '_', '/', '.', '-', '2', 'F', 'ä', '%', '\0', ' ', '☃'];
  const seen = new Map<string, string>();
  const values = ['.', '..', '...', '_2F', '/', '__', '_'];
  for (let round = 0; round < 5_000; round++) {
    const length = 1 + Math.floor(Math.random() * 5);
    values.push(Array.from({ length }, () => alphabet[Math.floor(Math.random() * alphabet.length)]).join(''));
  }
  for (const value of values) {
    const text = encodeSpiffeValue(value);
    if (decode(text) !== value) t.fail(`${value} came back as ${decode(text)}`);
    if (!isSpiffeId(`spiffe://d/${text}`)) t.fail(`${value} was written as ${text}`);
    if ((seen.get(text) ?? value) !== value) t.fail(`${value} and ${seen.get(text)} are both ${text}`);
    seen.set(text, value);
  }
  t.ok(seen.size > 1_000);
});
