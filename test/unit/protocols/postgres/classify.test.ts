/** What statements do, by a list of them: plain ones, and ways of hiding one thing in another. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { EFFECTS } from '#src/flow/operation.ts';
import { type Classified, classify } from '#src/protocols/postgres/classify.ts';
import { STATEMENTS } from '#src/protocols/postgres/effects.ts';
import { loadParser } from '#src/protocols/postgres/parser.ts';

const root = join(import.meta.dirname, '../../../..');
await loadParser();

const names = ({ schema, name }: { schema: string | null; name: string }): string =>
  `${schema ?? '?'}.${name}`;

/** Everything that is said of a text, in words. */
function wordsOf(read: Classified): Set<string> {
  if (read.kind !== 'operations') return new Set([read.kind]);
  const words = new Set<string>(read.operations.flatMap(({ effects }) => [...effects]));
  if (read.changesReading) words.add('changes-reading');
  return words;
}

function operationOf(text: string) {
  const read = classify(Buffer.from(text));
  if (read.kind !== 'operations') throw new Error(read.kind);
  return read.operations;
}

t.test('every statement of the list does what is said there', async (t) => {
  const known = new Set<string>([...EFFECTS, 'changes-reading', 'syntax-error', 'too-complex']);
  const lines = readFileSync(join(root, 'test/fixtures/postgres/statements.txt'), 'utf8').split('\n');
  const seen = new Set<string>();
  for (const line of lines.filter((text) => text !== '' && !text.startsWith('#'))) {
    const [name = '', expected = '', text = ''] = line.split(/ *\| ?((?:[!a-z-]+ *)*) ?\| /);
    t.notOk(seen.has(name), `${name} stands there once`);
    seen.add(name);
    const words = wordsOf(classify(Buffer.from(text.replaceAll('\\n', '\n').replaceAll('\\t', '\t'))));
    for (const word of expected.split(' ').filter((each) => each !== '')) {
      const not = word.startsWith('!');
      t.ok(known.has(word.replace('!', '')), `${word} is a word`);
      t.equal(words.has(word.replace('!', '')), !not, `${name}: ${word} of ${[...words].join(' ')}`);
    }
    if (expected.trim() === '') t.equal(words.size, 0, `${name}: nothing`);
  }
  t.ok(seen.size >= 150, `${seen.size} statements`);
});

t.test('what is published, and what is read by files and the log, is named', async (t) => {
  const relations = (text: string) =>
    operationOf(text).flatMap((operation) => operation.relations.map(names));
  t.strictSame(relations('create publication p for all tables'), ['?.*']);
  t.strictSame(relations('create publication p for tables in schema hr'), ['hr.*']);
  t.strictSame(relations('alter publication p add tables in schema current_schema'), ['?.*']);
  t.strictSame(relations('create publication p for table t'), ['?.t']);
  for (const call of [
    "pg_read_file('x')",
    "pg_read_binary_file('x')",
    "pg_logical_slot_get_changes('s', null, null)",
    "pg_get_wal_block_info('0/1', '0/2')",
    "bt_page_items('i', 1)",
  ])
    t.strictSame(relations(`select ${call}`), ['?.*'], call);
});

t.test("no statement of PostgreSQL's grammar is forgotten", async (t) => {
  const types = readFileSync(join(root, 'node_modules/@pgsql/types/types.d.ts'), 'utf8');
  const nodes = [...types.matchAll(/^export interface (\w+Stmt)\b/gm)].map((match) => match[1] ?? '');
  // A list of statements, and what set operations become after parsing.
  const others = new Set(['RawStmt', 'SetOperationStmt']);
  t.strictSame(
    nodes.filter((node) => !others.has(node) && !Object.hasOwn(STATEMENTS, node)),
    [],
  );
  t.ok(nodes.length > 100);
});

t.test('relations and functions are found wherever they stand', async (t) => {
  const [query] = operationOf(
    'WITH x AS (SELECT * FROM s.a) SELECT f(1) FROM x JOIN B ON true WHERE EXISTS (SELECT g.h() FROM "C")',
  );
  t.strictSame(query?.relations.map(names).sort(), ['?.C', '?.b', '?.x', 's.a']);
  t.strictSame(query?.functions.map(names).sort(), ['?.f', 'g.h']);
  const [dropped] = operationOf('DROP TABLE a, s.b');
  t.strictSame(dropped?.relations.map(names), ['?.a', 's.b']);
  t.match(
    dropped?.columns,
    [
      { table: 'a', column: '*' },
      { schema: 's', table: 'b', column: '*' },
    ],
    'as a whole',
  );
  const [schema] = operationOf('DROP SCHEMA audit');
  t.strictSame(schema?.relations.map(names), ['audit.*'], 'what is in the schema goes with it');
  const relationsOf = (text: string) => operationOf(text)[0]?.relations.map(names);
  t.strictSame(relationsOf('DROP TRIGGER g ON s.a'), ['s.a'], 'the table of a trigger');
  t.strictSame(relationsOf('GRANT SELECT ON ALL TABLES IN SCHEMA s TO me'), ['s.*']);
  t.strictSame(relationsOf("SELECT schema_to_xml('s', true, true, '')"), ['?.*'], 'any table');
  t.strictSame(relationsOf('DROP OWNED BY me'), ['?.*']);
  const [selected] = operationOf('SELECT (x).f, t.g FROM t');
  t.strictSame(selected?.functions.map(names).sort(), ['?.f', '?.g'], 'columns may be calls');
});

t.test('each statement of a text is an operation, with its verb', async (t) => {
  t.strictSame(
    operationOf('BEGIN; INSERT INTO t VALUES (1); COMMIT').map(({ verb }) => verb),
    ['TRANSACTION', 'INSERT', 'TRANSACTION'],
  );
  t.equal(operationOf('EXPLAIN DELETE FROM t')[0]?.verb, 'EXPLAIN', 'of the outermost');
});

t.test('what cannot be read says so', async (t) => {
  t.match(classify(Buffer.from('SELECT FROM FROM')), { kind: 'syntax-error', message: /at or near "FROM"/ });
  t.match(classify(Buffer.from('\\d')), { kind: 'syntax-error' });
});
