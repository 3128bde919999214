import t from 'tap';
import { escapedJson } from '#src/core/safe-json.ts';

t.test('nothing in it acts on a terminal, and it means the same', async (t) => {
  const value = { path: 'a\u001b[2J\u009b2J\u202eb\u2028c\u{e0041}d\u007f\n', plain: 'naïve 名 😀' };
  const json = escapedJson(JSON.stringify(value));
  t.notMatch(json, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  t.strictSame(JSON.parse(json), value);
  t.match(json, /naïve 名 😀/);
});
