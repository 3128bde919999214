import t from 'tap';
import { Cursor, checkUniqueNames } from '#src/policy/check/cursor.ts';
import { readSource } from '#src/policy/positions.ts';
import { Report } from '#src/policy/report.ts';

function cursorOf(text: string): Cursor {
  const source = readSource(text);
  return new Cursor(new Report(source), source.value);
}

t.test('walks what is there and is quiet about what is not', (t) => {
  const root = cursorOf('a: {b: text}\nl: [1, two]\n');
  t.equal(root.get('a').get('b').text, 'text');
  t.equal(root.get('a').get('b').pointer, '/a/b');
  t.equal(root.get('nothing').get('at').get('all').text, null);
  t.strictSame(root.get('nothing').items(), []);
  t.strictSame(root.get('a').items(), []);
  t.strictSame(
    root
      .get('l')
      .items()
      .map(({ text }) => text),
    [null, 'two'],
  );
  t.strictSame(root.get('a').keys(), ['b']);
  t.strictSame(root.get('nothing').keys(), []);
  t.equal(root.get('toString').value, undefined, 'nothing is inherited');
  t.end();
});

t.test('what has been reported is no text any more', (t) => {
  const b = cursorOf('a: {b: text}\n').get('a').get('b');
  b.error('is wrong');
  t.equal(b.clean, false);
  t.equal(b.text, null);
  t.end();
});

t.test('names that come again', (t) => {
  const root = cursorOf('l:\n  - {name: x}\n  - {name: y}\n  - {name: x}\n  - {name: 1}\n  - 2\n');
  checkUniqueNames(root.get('l'), 'thing');
  t.match(root.report.errors, [
    { line: 4, path: 'l[2].name', message: 'another thing is named "x"', hint: 'on line 2' },
  ]);
  t.equal(root.report.errors.length, 1);
  t.end();
});
