import t from 'tap';
import { readMaskKey } from '#src/policy/mask-key.ts';

const GOOD = '3f9c1d7be2a84560c9d1e7f3a5b28460';

t.test('a key without what surrounds it', async (t) => {
  t.strictSame(readMaskKey(`${GOOD}\n`), { ok: true, value: GOOD });
});

t.test('what is no key is refused, and not quoted', async (t) => {
  for (const text of ['', `${GOOD.slice(1)}\n`, 'x'.repeat(64), `${GOOD} `.repeat(200)]) {
    const result = readMaskKey(text);
    t.match(result, { ok: false, hint: 'make one: openssl rand -hex 32' });
    t.notMatch(JSON.stringify(result), GOOD.slice(1, 9));
  }
});
