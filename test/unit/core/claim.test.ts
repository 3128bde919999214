import t from 'tap';
import {
  is,
  isCount,
  isFlowId,
  isHex,
  isPort,
  isText,
  isU32,
  listOf,
  oneOf,
  orNull,
  shape,
} from '#src/core/claim.ts';

t.test('numbers', async (t) => {
  for (const wrong of [-1, 1.5, Number.NaN, '1', null, 2 ** 53]) t.notOk(isCount(wrong), String(wrong));
  t.ok(isCount(0));
  t.ok(isU32(2 ** 32 - 1));
  t.notOk(isU32(2 ** 32));
  t.notOk(isPort(65_536));
});

t.test('texts are bounded', async (t) => {
  t.ok(isText(2)('ab'));
  for (const wrong of ['abc', 1, null]) t.notOk(isText(2)(wrong));
  t.ok(isHex(1, 2)('0a'));
  for (const wrong of ['', '0', '0A', '0a0a0a', '0a\n', 10]) t.notOk(isHex(1, 2)(wrong), String(wrong));
  t.ok(isFlowId('0123456789abcdef'));
  t.notOk(isFlowId('0123456789abcdef\n'));
});

t.test('names are those of a record alone', async (t) => {
  t.ok(oneOf({ a: true })('a'));
  for (const wrong of ['b', 'toString', null]) t.notOk(oneOf({ a: true })(wrong));
});

t.test('lists and shapes are what all of them are', async (t) => {
  const isPair = shape<{ a: number; b: string | null }>({ a: isCount, b: orNull(is('x')) });
  t.ok(isPair({ a: 1, b: null, more: 1 }));
  for (const wrong of [null, 1, {}, { a: 1 }, { a: 1, b: 'y' }]) t.notOk(isPair(wrong));
  t.strictSame(isPair.keep({ b: null, a: 1, more: 1 }), { a: 1, b: null });
  const isList = shape<{ pairs: unknown }>({ pairs: orNull(listOf(isPair, 2)) });
  t.strictSame(isList.keep({ pairs: [{ a: 1, b: 'x', more: 1 }] }), { pairs: [{ a: 1, b: 'x' }] });
  t.strictSame(isList.keep({ pairs: null, more: 1 }), { pairs: null });
  t.ok(listOf(isCount, 2)([1, 2]));
  for (const wrong of [[1, 2, 3], ['1'], {}, null]) t.notOk(listOf(isCount, 2)(wrong));
});
