import t from 'tap';
import { ApiError, fromWire, problemsOf, toWire } from '#src/api/errors.ts';
import { SluiceError } from '#src/core/errors.ts';

const problem = { line: 3, column: 5, path: 'rules[0]', message: 'no such agent', hint: 'add it' };

t.test('a SluiceError arrives as it left', (t) => {
  const { status, body } = toWire(new SluiceError('KERNEL', 'cannot attach', { hint: 'load it' }));
  t.equal(status, 500);
  const back = fromWire(status, JSON.stringify(body));
  t.match(back, {
    code: 'KERNEL',
    apiCode: 'KERNEL',
    message: 'cannot attach',
    hint: 'load it',
    problems: [],
  });
  t.end();
});

t.test('problems of a policy arrive whole', (t) => {
  const error = Object.assign(new SluiceError('POLICY', 'not valid'), { problems: [problem] });
  const { status, body } = toWire(error);
  t.equal(status, 422);
  t.same(fromWire(status, JSON.stringify(body)).problems, [problem]);
  t.end();
});

t.test('the text of any other error stays here', (t) => {
  const { status, body } = toWire(new Error('password=hunter2'));
  t.equal(status, 500);
  t.notMatch(JSON.stringify(body), /hunter2/);
  t.equal(body.error.code, 'INTERNAL');
  t.end();
});

t.test('codes of HTTP alone are API to a caller', (t) => {
  const back = fromWire(404, JSON.stringify(toWire(new ApiError('NOT_FOUND', 'no such path')).body));
  t.equal(back.code, 'API');
  t.equal(back.apiCode, 'NOT_FOUND');
  t.end();
});

t.test('an answer that is no error body is still a typed error', (t) => {
  for (const text of [
    '',
    'null',
    '[]',
    '{"error":1}',
    '{"error":{"code":"toString","message":"x"}}',
    '<html>',
  ]) {
    t.match(fromWire(502, text), { code: 'API', message: /status 502/ }, text);
  }
  t.end();
});

t.test('only well-formed problems are taken', (t) => {
  t.same(problemsOf({ problems: [problem, null, { line: '1' }] }), [problem]);
  for (const value of [null, 1, {}, { problems: 'x' }]) t.same(problemsOf(value), []);
  t.end();
});
