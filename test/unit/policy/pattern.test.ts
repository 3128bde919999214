import t from 'tap';
import { parsePattern } from '#src/policy/pattern.ts';

const sizes = (text: string, caseSensitive = true): readonly [number, number] => {
  const result = parsePattern(text, caseSensitive);
  if (!result.ok) throw new Error(result.message);
  return [result.pattern.minBytes, result.pattern.maxBytes];
};
const problem = (text: string): string => {
  const result = parsePattern(text, true);
  return result.ok ? 'none' : `${result.message} | ${result.hint}`;
};

t.test('the length of a match is known', async (t) => {
  t.strictSame(sizes('abc'), [3, 3]);
  t.strictSame(sizes('EMP-\\d{6}'), [10, 10]);
  t.strictSame(sizes('(abc|defgh)x?'), [3, 6]);
  t.strictSame(sizes('[a-z]{3,9}(?:-[0-9]{2}){0,2}'), [3, 15]);
  t.strictSame(sizes('Größe'), [7, 7], 'in bytes of UTF-8');
  t.strictSame(sizes('\\x41\\.\\\\\\b'), [3, 3]);
});

t.test('classes and case', async (t) => {
  const setOf = (text: string, caseSensitive = true): string => {
    const result = parsePattern(`${text}{3}`, caseSensitive);
    if (!result.ok || result.pattern.node.kind !== 'sequence') throw new Error('no sequence');
    const [repeat] = result.pattern.node.parts;
    if (repeat?.kind !== 'repeat' || repeat.part.kind !== 'set') throw new Error('no set');
    return repeat.part.set.flatMap((is, byte) => (is ? [String.fromCharCode(byte)] : [])).join('');
  };
  t.equal(setOf('[a-cx\\d-]'), '-0123456789abcx');
  t.equal(setOf('[\\]\\\\^]'), '\\]^');
  t.equal(setOf('[a-c]', false), 'ABCabc');
  t.equal(setOf('k', false), 'Kk');
  t.equal(setOf('[^\\x00-\\x60{-\\xff]'), 'abcdefghijklmnopqrstuvwxyz');
  t.equal(setOf('.').length, 255);
  t.equal(setOf('\\s'), '\t\n\v\f\r ');
});

t.test('word boundaries stand at the ends', async (t) => {
  const result = parsePattern('\\bab\\\\b\\b', true);
  t.match(result, { ok: true, pattern: { wordStart: true, wordEnd: true, minBytes: 4 } });
  t.match(parsePattern('abc\\\\b', true), { ok: true, pattern: { wordStart: false, wordEnd: false } });
});

t.test('what is not in the subset is refused with its reason', async (t) => {
  for (const [text, said] of [
    ['ab*c', /repeats without a bound \(\*\) \| say how often/],
    ['ab+c', /repeats without a bound \(\+\)/],
    ['a{3,}', /repeats without a bound \(\{3,\}\)/],
    ['a{5,3}', /repeats 5 to 3 times/],
    ['abc{x}', /a \{ that is no repetition/],
    ['abc?{2}', /repeats a repetition/],
    ['abc+?', /repeats without/],
    ['abc??', /repeats a repetition/],
    ['?abc', /a \? that repeats nothing/],
    ['^abc', /has a \^/],
    ['abc$', /has a \$/],
    ['(abc', /a \( without a \)/],
    ['abc)', /a \) without a \(/],
    ['(?=abc)', /a group with a \?/],
    ['(a)\\1bc', /has a \\1/],
    ['[abc', /a \[ without a \]/],
    ['[]abc', /an empty class/],
    ['[c-a]bc', /a range in a class/],
    ['[äö]abc', /beyond ASCII in a class/],
    ['a\\bbc', /\\b in its middle/],
    ['\\p{L}abc', /has a \\p/],
    ['\\xg0abc', /\\x without two/],
    ['abc\\', /has a \\/],
    ['ab', /may match 2 bytes/],
    ['abc|', /may match 0 bytes/],
    ['(abc){0,1}', /may match 0 bytes/],
    ['a{257}', /too large: 257 places/],
    ['((a{1000}){1000}){1000}', /too large/],
    [`${'('.repeat(20)}abc${')'.repeat(20)}`, /nested too deeply/],
  ] as const) {
    t.match(problem(text), said, text);
  }
});
