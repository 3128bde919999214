import t from 'tap';
import { isToken, isTokenByte, trimWhitespace } from '#src/protocols/http1/grammar.ts';

t.test('tokens', async (t) => {
  t.ok(isToken("!#$%&'*+-.^_`|~09azAZ"));
  for (const bad of ['', 'a b', 'a:', 'a\t', '(a)', 'a/b', 'é', 'a\0'])
    t.notOk(isToken(bad), JSON.stringify(bad));
  const bytes = Array.from({ length: 256 }, (_, byte) => byte).filter(isTokenByte);
  t.equal(bytes.length, 77, 'tchar: 15 marks, 10 digits, 52 letters');
  t.notOk(isTokenByte(256));
});

t.test('trims space and tab, and nothing else', async (t) => {
  t.equal(trimWhitespace(' \t a b\t '), 'a b');
  t.equal(trimWhitespace(' \t '), '');
  t.equal(trimWhitespace('\u00a0a\u00a0'), '\u00a0a\u00a0');
});
