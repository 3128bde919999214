import t from 'tap';
import { cellLine, readCellLine } from '#test/support/bypass/told.ts';

t.test('an answer is read as it was told, however deep the comment stands', async (t) => {
  const cell = {
    row: 'udp',
    who: 'root',
    family: '6',
    verdict: 'refused',
    detail: 'EPERM at "sendto"',
  } as const;
  const told = cellLine({ kernel: '6.1', tier: 'lsm' }, cell);
  for (const indent of ['', '    ', '        '])
    t.strictSame(readCellLine(`${indent}# ${told}`), { kernel: '6.1', tier: 'lsm', cells: [cell] });
  t.equal(readCellLine(told), null, 'no comment');
  t.equal(readCellLine('ok 1 - x'), null);
});
