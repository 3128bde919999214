import t from 'tap';
import { readSource } from '#src/policy/positions.ts';
import { Report } from '#src/policy/report.ts';

t.test('knows which parts are wrong', (t) => {
  const report = new Report(readSource('a: {b: [1, 2]}\nc: 1\n'));
  report.error('/a/b/1', 'is wrong', 'mend it');
  for (const pointer of ['', '/a', '/a/b', '/a/b/1']) t.equal(report.isClean(pointer), false, pointer);
  for (const pointer of ['/a/b/0', '/c', '/a/b/10']) t.equal(report.isClean(pointer), true, pointer);
  t.strictSame(report.errors, [
    { line: 1, column: 12, path: 'a.b[1]', message: 'is wrong', hint: 'mend it' },
  ]);
  t.equal(report.lineOf('/c'), 2);
  t.end();
});

t.test('a key too many and a warning put no value in doubt', (t) => {
  const report = new Report(readSource('a: 1\nc: 1\n'));
  report.errorAtKey('/c', 'unknown key', null);
  report.warning('/a', 'is odd', null);
  t.equal(report.isClean(''), true);
  t.match(report.errors, [{ line: 2, column: 1 }]);
  t.match(report.warnings, [{ line: 1, column: 4 }]);
  t.end();
});

t.test('begins with the errors of the text', (t) => {
  t.equal(new Report(readSource('a: 1\na: 2\n')).errors.length, 1);
  t.end();
});
