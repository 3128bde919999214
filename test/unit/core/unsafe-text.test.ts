import t from 'tap';
import { plainLine, replaceUnsafe } from '#src/core/unsafe-text.ts';

t.test('a line stays one, and moves no cursor', async (t) => {
  t.equal(plainLine('a\r\nb\u001b[2J\u009b\u202e\u2028\u2029c'), 'a??b?[2J????c');
  t.equal(plainLine('naïve 名 😀'), 'naïve 名 😀');
});

t.test('a character is one, beyond the first plane as well', async (t) => {
  t.equal(
    replaceUnsafe('x\u{e0041}y\n', (character) => `<${character.codePointAt(0)?.toString(16)}>`),
    'x<e0041>y<a>',
  );
});
