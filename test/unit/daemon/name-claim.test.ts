import t from 'tap';
import { isNameAnswer, isNameQuestion } from '#src/daemon/name-claim.ts';

const question = { type: 'name', question: 1, agentId: 2, ip: '192.0.2.1' };
const answer = { ...question, worker: 0, name: 'a.test' };

t.test('questions', async (t) => {
  t.equal(isNameQuestion(question), true);
  t.equal(isNameQuestion({ ...question, ip: '2001:db8::1' }), true);
  for (const wrong of [
    { type: 'x' },
    { question: -1 },
    { question: 1.5 },
    { question: '1' },
    { agentId: 2 ** 32 },
    { ip: 'x' },
    { ip: null },
  ])
    t.equal(isNameQuestion({ ...question, ...wrong }), false, JSON.stringify(wrong));
});

t.test('answers', async (t) => {
  t.equal(isNameAnswer(answer), true);
  t.equal(isNameAnswer({ ...answer, name: null }), true);
  for (const wrong of [
    { name: 'A.test' },
    { name: 'a b' },
    { name: 1 },
    { name: undefined },
    { worker: -1 },
    { worker: null },
    { ip: '' },
  ])
    t.equal(isNameAnswer({ ...answer, ...wrong }), false, JSON.stringify(wrong));
});
