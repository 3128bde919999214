import t from 'tap';
import { formatProblem, PolicyError, type Problem, sortProblems } from '#src/policy/problems.ts';

const at = (line: number, column: number, message: string): Problem => ({
  line,
  column,
  path: '',
  message,
  hint: null,
});

t.test('one line each, with place, path and hint', (t) => {
  t.equal(formatProblem('p.yaml', at(3, 5, 'is wrong')), 'p.yaml:3:5: is wrong');
  t.equal(
    formatProblem('p.yaml', { ...at(3, 5, 'is wrong'), path: 'rules[0]', hint: 'mend it' }),
    'p.yaml:3:5: rules[0]: is wrong (mend it)',
  );
  const error = new PolicyError('p.yaml', [at(1, 1, 'a'), at(2, 1, 'b')]);
  t.equal(error.code, 'POLICY');
  t.equal(error.message, 'p.yaml:1:1: a\np.yaml:2:1: b');
  t.end();
});

t.test('sorted by place, stable', (t) => {
  const sorted = sortProblems([at(10, 1, 'a'), at(2, 9, 'b'), at(2, 3, 'c'), at(2, 3, 'd')]);
  t.strictSame(
    sorted.map(({ message }) => message),
    ['c', 'd', 'b', 'a'],
  );
  t.end();
});
