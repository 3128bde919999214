import t from 'tap';
import { compareUids, parseUids, uidsText } from '#src/policy/uids.ts';

t.test('numbers and ranges', async (t) => {
  t.same(parseUids(0), [0, 0]);
  t.same(parseUids('1000'), [1000, 1000]);
  t.same(parseUids('1000-1999'), [1000, 1999]);
  t.same(parseUids(4294967294), [4294967294, 4294967294]);
  for (const wrong of ['', 'root', '7-', '-7', '9-7', '1-2-3', 4294967295, '0-4294967295', 1.5, -1, ' 7'])
    t.equal(parseUids(wrong), null, String(wrong));
  t.equal(uidsText([7, 7]), '7');
  t.equal(uidsText([7, 9]), '7-9');
});

t.test('how two ranges lie', async (t) => {
  t.equal(compareUids([1, 2], [3, 4]), 'apart');
  t.equal(compareUids([1, 2], [1, 2]), 'same');
  t.equal(compareUids([1, 9], [3, 4]), 'nested');
  t.equal(compareUids([3, 4], [3, 9]), 'nested');
  t.equal(compareUids([1, 5], [3, 9]), 'overlapping');
});
