import t from 'tap';
import { loadParser, parse, STATEMENT_MAX_BYTES, scan } from '#src/protocols/postgres/parser.ts';
import { isTooHeavy, Scale } from '#src/protocols/postgres/text-weight.ts';

await loadParser();

/** As many as fit. */
const full = (head: string, unit: string): Buffer =>
  Buffer.from(head + unit.repeat(Math.floor((STATEMENT_MAX_BYTES - head.length) / unit.length)));

/** What PostgreSQL's lexer finds, without comments. */
function tokensOf(text: Buffer): number {
  const tokens = scan(text) ?? [];
  return tokens.filter(({ start }) => !['--', '/*'].includes(text.toString('latin1', start, start + 2)))
    .length;
}

t.test('no token is missed, however it is written', async (t) => {
  const parts = [
    ...[
      "'",
      '"',
      '\\',
      "E'",
      "e'a\\'",
      "U&'x'",
      "'a''b'",
      '$$',
      '$a$',
      '$1',
      '--',
      '/*',
      '*/',
      '\n',
      '\r',
      ' ',
      ',',
      'a',
      '1',
    ],
    ...[
      'a$',
      '+',
      '-',
      '*',
      '/',
      '@',
      '::',
      '.',
      '1.5',
      "N'",
      "x'1f'",
      ';',
      '(',
      ')',
      '[',
      'é',
      '/',
      "''",
      "E'\n'",
    ],
  ];
  let seed = 7;
  const next = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  let cut = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const text = Buffer.from(Array.from({ length: 1 + next(24) }, () => parts[next(parts.length)]).join(''));
    const tokens = tokensOf(text);
    if (tokens > 0) cut += 1;
    if (new Scale(text).weigh().weight < tokens) t.fail(JSON.stringify(text.toString()));
  }
  t.ok(cut > 5_000, `${cut} of them could be cut`);
});

t.test('a string with escapes goes on in another line, and nowhere else', async (t) => {
  const numbers = `${'1, '.repeat(100)}1`;
  let cut = 0;
  for (const between of [
    '\n',
    ' \r\n ',
    '\n-- it goes on\n',
    ' ',
    ' -- it does not\n',
    '/**/',
    '/*\n*/',
    '\n/**/',
  ]) {
    for (const end of [`\\'', ${numbers}`, `\\', ${numbers}, ''`]) {
      const text = Buffer.from(`select E'a'${between}'b${end}`);
      const tokens = tokensOf(text);
      if (tokens > 200) cut += 1;
      t.ok(new Scale(text).weigh().weight >= tokens, JSON.stringify(text.toString()));
    }
  }
  t.ok(cut >= 8, `${cut} of them are cut to the end`);
});

t.test('what people write is not too heavy', async (t) => {
  const fits = (head: string, unit: string): void => {
    t.notOk(isTooHeavy(full(head, unit)), `${head}${unit}`);
  };
  fits('select * from t where id in (1', ', 12345');
  fits("insert into t values ('a')", ", ('a value', 'another', 12.5, NULL)");
  fits('select 1', '\n-- a comment like any other, with some words in it');
  fits("select '", '{"key": "value", "list": [1, 2]}, ');
  fits("select E'", '{\\"key\\": \\"value\\", \\"list\\": [1, 2]}, ');
  fits('select $body$', 'if a = b then return c + d; end if; ');
  fits('select 1', `\n/${'*'.repeat(78)}/`);
});

t.test('what would be read for seconds is not read', async (t) => {
  for (const [head, unit] of [
    ['select 1', '/**/'],
    ['select 1', '/*'],
    ['select 1', '+-'],
    ['select 1', '@-'],
    ['select a', ',a'],
    ['select a=b', ',a=b'],
    ['select ', '*,'],
    ['select order by 1', ',1'],
    ['select 1 in (1', ',1'],
    ['', 'table a;'],
    ['select 1', '\n/*\n*/+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-'],
  ] as const) {
    const text = full(head, unit);
    t.ok(isTooHeavy(text), `${head}${unit}`);
    t.strictSame(parse(text), { kind: 'too-complex' });
    t.equal(scan(text), null);
  }
});
