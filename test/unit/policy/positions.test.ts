import t from 'tap';
import { childPointer, DOCUMENT_MAX_BYTES, displayPath, readSource } from '#src/policy/positions.ts';

const messages = (text: string): string[] =>
  readSource(text).problems.map(({ line, column, message }) => `${line}:${column} ${message}`);

t.test('values and where they stand', (t) => {
  const source = readSource('a: 1\nb:\n  - x\n  - {c: [true, null]}\n"d/e~f": 1.5\n8: z\n');
  t.strictSame(JSON.parse(JSON.stringify(source.value)), {
    a: 1,
    b: ['x', { c: [true, null] }],
    'd/e~f': 1.5,
    8: 'z',
  });
  t.strictSame(source.problems, []);
  t.strictSame(source.placeOf('/a'), { line: 1, column: 4 });
  t.strictSame(source.placeOfKey('/a'), { line: 1, column: 1 });
  t.strictSame(source.placeOf('/b/1/c/1'), { line: 4, column: 16 });
  t.strictSame(source.placeOf('/d~1e~0f'), { line: 5, column: 10 });
  t.strictSame(source.placeOf('/b/1/nowhere/at/all'), { line: 4, column: 5 }, 'the nearest parent');
  t.strictSame(source.placeOfKey('/nowhere'), { line: 1, column: 1 });
  t.end();
});

t.test('places are right after CRLF, a byte order mark and characters beyond ASCII', (t) => {
  t.strictSame(readSource('a: ü\r\nb: 2\r\n').placeOf('/b'), { line: 2, column: 4 });
  t.strictSame(JSON.parse(JSON.stringify(readSource('\uFEFFa: 1\n').value)), { a: 1 });
  t.end();
});

t.test('an empty document is no error of YAML', (t) => {
  for (const text of ['', '\n', '# nothing\n', '---\n']) {
    t.equal(readSource(text).value, null);
    t.equal(readSource(text).placeOf('').line, 1);
  }
  t.end();
});

t.test('a name such as __proto__ is only a key', (t) => {
  const { value } = readSource('__proto__: {polluted: true}\nconstructor: 1\n');
  t.strictSame(Object.keys(value as object), ['__proto__', 'constructor']);
  t.equal(Reflect.get({}, 'polluted'), undefined);
  t.equal(Object.getPrototypeOf(value), null);
  t.end();
});

t.test('errors of YAML', (t) => {
  t.match(messages('a: [1, 2\nb: 3\n').join(), /^\d+:\d+ /);
  t.equal(readSource('a: [1, 2\nb: 3\n').value, undefined);
  t.match(messages('a: 1\nb: 2\na: 3\n'), ['3:1 the key "a" stands here twice']);
  t.match(messages('a: {x: 1, x: 2}\nb: 1\nb: 1\n').length, 2, 'all duplicates');
  t.match(messages('a: 1\n"a": 3\n'), ['2:1 the key "a" stands here twice'], 'in another spelling');
  t.match(messages('? [a, b]\n: 1\n'), ['1:3 a key must be a plain word or number']);
  t.match(messages('a: !secret x\n').join(), /tag/);
  t.match(messages('a: 1\n---\nb: 2\n').join(), /more than one document/);
  t.match(messages('a: "\\q"\n').join(), /1:\d+ /);
  t.end();
});

t.test('aliases', (t) => {
  const source = readSource('a: &x {k: [1]}\nb: *x\nc: &x 2\nd: *x\n');
  t.strictSame(JSON.parse(JSON.stringify(source.value)), { a: { k: [1] }, b: { k: [1] }, c: 2, d: 2 });
  t.strictSame(source.placeOf('/b/k/0'), { line: 1, column: 12 }, 'problems are shown where the text is');
  t.match(messages('a: *x\n'), ['1:4 no anchor "&x" before this alias']);
  t.match(messages('a: &x [1, *x]\n'), ['1:11 the alias stands inside its own anchor']);
  t.match(messages('<<: &x {a: 1}\n').length, 0, 'merge keys are only keys');
  t.end();
});

t.test('bombs', (t) => {
  const lists = Array.from({ length: 12 }, (_, i) => {
    const below = i === 0 ? 'x' : `*l${i - 1}`;
    return `l${i}: &l${i} [${Array(10).fill(below).join(', ')}]`;
  });
  t.match(messages(lists.join('\n')).join(), /more than 200000 values/);
  t.equal(readSource(lists.join('\n')).value, undefined);
  t.match(messages('x'.repeat(DOCUMENT_MAX_BYTES + 1)).join(), /larger than/);
  t.match(messages(`${'['.repeat(40)}${']'.repeat(40)}`).join(), /nested more than 32 levels/);
  const deep = messages(`a: ${'['.repeat(20_000)}`);
  t.match(deep[0], /nested too deeply/);
  t.ok(deep.length < 3, 'told once');
  const keys = Array.from({ length: 60_000 }, (_, i) => `k${i}: 1`).join('\n');
  t.strictSame(messages(keys), [], 'many keys are no matter');
  t.end();
});

t.test('pointers', (t) => {
  t.equal(childPointer('/a', 'b/c~d'), '/a/b~1c~0d');
  t.equal(displayPath('/rules/0/agents/1'), 'rules[0].agents[1]');
  t.equal(displayPath(''), '');
  t.end();
});
