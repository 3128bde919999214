import t from 'tap';
import type { HoldStatus } from '#src/api/types.ts';
import { HOLD_COLUMNS, holdDetails, holdRow, TYPICAL_HOLD_ROW } from '#src/cli/hold-table.ts';

const hold: HoldStatus = {
  id: '0123456789',
  agent: null,
  flow: '0123456789abcdef',
  rules: ['a', 'b'],
  verbs: ['DELETE'],
  objects: [],
  texts: [{ text: 'DELETE FROM t', bytes: 13 }],
  values: [],
  more: 0,
  since: '2026-01-31T12:00:00.000Z',
  until: '2026-01-31T12:05:00.000Z',
};

t.test('a row has what its columns say', async (t) => {
  t.equal(holdRow(hold).length, HOLD_COLUMNS.length);
  t.equal(TYPICAL_HOLD_ROW.length, HOLD_COLUMNS.length);
  t.match(holdRow(hold), ['0123456789', '-', 'a, b', 'DELETE', '-']);
});

t.test('what is shown acts on no terminal, and says where it is cut', async (t) => {
  t.equal(holdDetails(hold), '    DELETE FROM t\n');
  const hostile = { ...hold, texts: [{ text: 'a\u001b[2Jb\u202ec', bytes: 10 }], values: ["'\n$2 = 1'"] };
  t.equal(holdDetails(hostile), "    a\\x1b[2Jb\\u{202e}c\n    $1 = '\\x0a$2 = 1'\n");
  const long = { ...hold, texts: [{ text: 'x'.repeat(4_096), bytes: 9_000 }] };
  t.match(holdDetails(long), /\n {4}… CUT: it has 9000 bytes\n$/);
  t.notMatch(holdDetails({ ...hold, texts: [{ text: 'masked', bytes: 90 }] }), /CUT/);
});
