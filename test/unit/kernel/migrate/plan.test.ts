import t from 'tap';
import type { NativeStruct } from '#src/kernel/addon.ts';
import { counterNow, encodePlan, MOVES_MAX, movesBetween, translate } from '#src/kernel/migrate/plan.ts';

/** Fields by name and size, side by side. */
function struct(...fields: readonly (readonly [string, number])[]): NativeStruct {
  let offset = 0;
  const placed = fields.map(([name, size]) => {
    offset += size;
    return { name, offset: offset - size, size };
  });
  return { size: offset, fields: placed };
}

t.test('fields are found by name, wherever they were', async (t) => {
  const former = struct(['a', 4], ['b', 2], ['c', 2], ['gone', 8]);
  const present = struct(['b', 2], ['added', 2], ['c', 2], ['pad', 2], ['a', 8]);
  const moves = movesBetween('it', former, present, ['a', 'b']);
  const bytes = translate(moves, Buffer.from('0102030405060708ffffffffffffffff', 'hex'), present.size);
  t.equal(bytes.toString('hex'), '05060000070800000102030400000000', 'what has grown is filled with zero');
});

t.test('what lies side by side in both is one move', async (t) => {
  const former = struct(['a', 4], ['b', 4], ['c', 8]);
  t.same(movesBetween('it', former, former), [{ from: 0, to: 0, bytes: 16 }]);
});

t.test('a field that has shrunk keeps its low bytes', async (t) => {
  const moves = movesBetween('it', struct(['a', 8]), struct(['a', 2]));
  t.equal(translate(moves, Buffer.from('0102000000000000', 'hex'), 2).toString('hex'), '0102');
});

t.test('without a field that is needed, or without a layout, nothing is taken over', async (t) => {
  const some = struct(['a', 4]);
  const needs = (former: NativeStruct | null, present: NativeStruct | null) => () =>
    movesBetween('a socket', former, present, ['role']);
  t.throws(needs(some, struct(['role', 4])), { code: 'ABI_MISMATCH', message: /a socket had no role/ });
  t.throws(needs(struct(['role', 4]), some), { code: 'ABI_MISMATCH', message: /no role any more/ });
  t.throws(needs(null, some), { code: 'ABI_MISMATCH', hint: /uninstall/ });
});

t.test('the kernel gets moves of eight bytes at most, and not too many', async (t) => {
  const bytes = encodePlan('it', [{ from: 4, to: 8, bytes: 12 }]);
  t.equal(bytes.readUInt32LE(0), 2);
  const move = (n: number) => [0, 2, 4].map((at) => bytes.readUInt16LE(8 + n * 8 + at));
  t.same(
    [move(0), move(1)],
    [
      [4, 8, 8],
      [12, 16, 4],
    ],
  );
  const many = Array.from({ length: MOVES_MAX + 1 }, (_, n) => ({ from: n, to: 2 * n, bytes: 1 }));
  t.throws(() => encodePlan('it', many), { code: 'ABI_MISMATCH' });
});

t.test('counters keep their reason, and those behind the reasons stay last', async (t) => {
  t.equal(counterNow(0, 17, 18), 0);
  t.equal(counterNow(13, 17, 18), 13);
  t.same(
    [14, 15, 16].map((n) => counterNow(n, 17, 18)),
    [15, 16, 17],
  );
});
