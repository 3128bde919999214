import t from 'tap';
import { isNode, loadParser, parse } from '#src/protocols/postgres/parser.ts';
import { isUnbounded } from '#src/protocols/postgres/where.ts';

await loadParser();

function unbounded(condition: string): boolean {
  const parsed = parse(Buffer.from(`DELETE FROM t WHERE ${condition}`));
  const statement = parsed.kind === 'statements' ? parsed.statements[0]?.['stmt'] : null;
  const node = isNode(statement) ? statement['DeleteStmt'] : null;
  return isUnbounded(isNode(node) ? node['whereClause'] : null);
}

t.test('conditions that pick rows, and those that let all through', async (t) => {
  for (const picks of [
    'a = 1',
    'a',
    'NOT a',
    'a IN (1)',
    'a = b',
    'f(a) > 2',
    'a IS NULL',
    'EXISTS (SELECT b)',
    'true AND a = 1',
  ])
    t.notOk(unbounded(picks), picks);
  for (const all of [
    'true',
    '1 = 1',
    '1 < 2',
    "'x' = 'x'",
    'a = a',
    't.a = t.a',
    'a IS NOT NULL',
    'a = 1 OR true',
    'NOT false',
    'NOT (a IS NULL)',
    `${'a+'.repeat(3_000)}a = ${'a+'.repeat(3_000)}a`,
    `1 IN (${'1,'.repeat(60_000)}1)`,
    'f()',
  ])
    t.ok(unbounded(all), all);
  t.ok(isUnbounded(undefined), 'no condition at all');
});

t.test('a condition beyond every depth is taken for none', async (t) => {
  t.ok(unbounded(`${'NOT '.repeat(200)} a = 1`));
});
