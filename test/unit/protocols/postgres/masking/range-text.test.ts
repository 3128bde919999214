/** What is written like a range, and what only begins like one. */
import t from 'tap';
import { isRangeText } from '#src/protocols/postgres/masking/range-text.ts';

t.test('ranges and multiranges', async (t) => {
  for (const text of [
    '[1,5)',
    '(1,5]',
    '[,)',
    '(,7]',
    '[1,5]',
    '[-1.50,2.5]',
    '["2020-01-01 00:00:00","2020-01-02 00:00:00")',
    '["a,b","c\\"d")',
    '["say ""x""",)',
    '{[1,5),[7,9)}',
    '{["2020-01-01 00:00:00+00",)}',
    '{(,1],[5,5]}',
  ])
    t.ok(isRangeText(text), text);
});

t.test('JSON, arrays, composites and points are none', async (t) => {
  for (const text of [
    '[1, 5]',
    '["a","b"]',
    '[1,2,3]',
    '[1]',
    '{}',
    '{1,2}',
    '{"(1,2)",NULL}',
    '{{1,2},{3,4}}',
    '(1,2)',
    '(a,b)',
    '((1,2),(3,4))',
    '[(1,2),(3,4)]',
    '[0:1]={1,2}',
    '{"a": [1,2]}',
    'empty',
    '',
  ])
    t.notOk(isRangeText(text), text);
});

t.test('in linear time on whatever is long', async (t) => {
  for (const part of ['[', '(,', '"', '""', '\\', '[1,2),', 'x'])
    for (const end of ['', ')', '}', '"'])
      t.type(isRangeText(`{[${part.repeat(200_000)}${end}`), 'boolean', `${part} ${end}`);
});
