import t from 'tap';
import {
  mayMean,
  mayMeanColumn,
  parseColumnPattern,
  parseNamePattern,
  surelyMeans,
} from '#src/policy/name-pattern.ts';

const object = (text: string) => parseNamePattern(text);

t.test('a pattern may mean what is named without a schema, wherever it is', async (t) => {
  for (const [pattern, name, may, surely] of [
    ['accounts', 'accounts', true, true],
    ['accounts', 'public.accounts', true, true],
    ['public.accounts', 'accounts', true, false],
    ['public.accounts', 'audit.accounts', false, false],
    ['audit.*', 'audit.log', true, true],
    ['audit.*', 'log', true, false],
    ['*.log', 'audit.log', true, true],
    ['accounts', 'Accounts', false, false],
    ['accounts', 'audit.*', true, false],
    ['public.accounts', 'audit.*', false, false],
    ['a*b*c', 'abc', true, true],
    ['a*b*c', 'axxbyyc', true, true],
    ['a*b*c', 'ac', false, false],
    ['ab*ba', 'aba', false, false],
    ['*', 'anything', true, true],
    ['a*', 'ba', false, false],
  ] as const) {
    t.equal(mayMean(parseNamePattern(pattern), object(name)), may, `${pattern} may mean ${name}`);
    t.equal(surelyMeans(parseNamePattern(pattern), object(name)), surely, `${pattern} surely means ${name}`);
  }
});

t.test('a pattern of columns may mean whatever is not known', async (t) => {
  const column = (text: string) => {
    const [name = null, table = null, schema = null] = text
      .split('.')
      .map((part) => (part === '?' ? null : part))
      .reverse();
    return { schema, table, column: name };
  };
  for (const [pattern, name, may] of [
    ['email', 'public.users.email', true],
    ['email', '?.?.email', true],
    ['users.email', 'public.users.email', true],
    ['users.email', 'public.orders.email', false],
    ['users.email', '?.?.email', true],
    ['users.email', '?.?.mail', false],
    ['users.email', '?.?.?', true],
    ['hr.users.email', 'public.users.email', false],
    ['hr.users.email', '?.users.email', true],
    ['hr.*.*mail', 'hr.people.email', true],
    ['*', 'a.b.c', true],
  ] as const) {
    t.equal(mayMeanColumn(parseColumnPattern(pattern), column(name)), may, `${pattern} may mean ${name}`);
  }
});
