import t from 'tap';
import { mayMean, parseNamePattern, surelyMeans } from '#src/policy/name-pattern.ts';

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
