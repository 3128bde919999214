import t from 'tap';
import { painterFor, safeJson, safeText, widthOf } from '#src/cli/terminal.ts';

/** Characters a terminal may act on, or that make text look like other text. */
const UNSAFE = [
  0, 7, 8, 9, 10, 13, 0x1b, 0x7f, 0x80, 0x9b, 0x9f, 0xad, 0x200b, 0x200e, 0x2028, 0x202e, 0x2066, 0xfeff,
  0xe0001,
];

t.test('nothing a terminal acts on passes', async (t) => {
  for (const code of UNSAFE) {
    const text = `a${String.fromCodePoint(code)}b`;
    t.match(safeText(text), /^a\\(x[0-9a-f]{2}|u\{[0-9a-f]+\})b$/, code.toString(16));
    t.notOk(safeJson(text).includes(String.fromCodePoint(code)), code.toString(16));
    t.equal(JSON.parse(safeJson(text)), text, 'JSON keeps its value');
  }
  t.equal(safeText('größer-日本.example.org 🙂'), 'größer-日本.example.org 🙂');
});

t.test('colour only for a terminal that wants it', async (t) => {
  const terminal = { isTTY: true };
  t.equal(painterFor(terminal, {})('x', 'red'), '\u001b[31mx\u001b[0m');
  t.equal(painterFor(terminal, { NO_COLOR: '' })('x', 'red'), '\u001b[31mx\u001b[0m', 'empty is not set');
  t.equal(painterFor(terminal, {})('x', null), 'x');
  t.equal(painterFor(terminal, { NO_COLOR: '1' })('x', 'red'), 'x');
  t.equal(painterFor(terminal, { TERM: 'dumb' })('x', 'red'), 'x');
  t.equal(painterFor({}, {})('x', 'red'), 'x');
});

t.test('a width only for a terminal', async (t) => {
  t.equal(widthOf({ isTTY: true, columns: 132 }), 132);
  t.equal(widthOf({ isTTY: true }), 80);
  t.equal(widthOf({ columns: 132 }), null);
});
