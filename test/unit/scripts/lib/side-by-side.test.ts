import t from 'tap';
import { asHex, asText, sideBySide } from '../../../../scripts/lib/side-by-side.ts';

t.test('two columns of the given width', async (t) => {
  const lines = sideBySide(
    { title: 'left', lines: ['short', 'a line too long'] },
    { title: 'right', lines: ['r'] },
    23,
  );
  t.strictSame(lines, [
    'left       │ right',
    '───────────┼───────────',
    'short      │ r',
    'a line too │',
    ' long      │',
  ]);
  for (const line of lines) t.ok(line.length <= 23);
});

t.test('bytes cannot reach the terminal', async (t) => {
  t.strictSame(asText(Buffer.from('GET /\r\n\x1b[2J\x07é'), 9), ['GET /', '·[2J···']);
  t.strictSame(asText(Buffer.from('a\nb\nc'), 2), ['a', 'b', '…']);
});

t.test('hexdump, cut with its whole length told', async (t) => {
  t.strictSame(asHex(Buffer.from('\x16\x03\x01hello'), 4), [
    `16 03 01 68 65 6c 6c 6f${' '.repeat(13)}···hello`,
  ]);
  const [first, last] = asHex(Buffer.alloc(40, 'x'), 1);
  t.match(first, /^(78 ){12}x{12}$/);
  t.equal(last, '… 40 bytes in all');
});
