import t from 'tap';
import type { NameQuestion } from '#src/proxy/ipc.ts';
import { NameDesk } from '#src/proxy/name-desk.ts';

t.test('an answer goes to its question, and to no other', async (t) => {
  const sent: NameQuestion[] = [];
  const desk = new NameDesk((question) => sent.push(question));
  const one = desk.ask(1, '192.0.2.1');
  const two = desk.ask(2, '192.0.2.1');
  const [first, second] = sent;
  if (first === undefined || second === undefined) throw new Error('nothing was asked');
  // A predecessor of this process asked under the same number, for somebody else.
  desk.answered({ ...first, agentId: 9, name: 'evil.test' });
  desk.answered({ ...first, ip: '192.0.2.9', name: 'evil.test' });
  desk.answered({ ...second, name: null });
  desk.answered({ ...first, name: 'a.test' });
  desk.answered({ ...first, name: 'late.test' });
  t.equal(await one, 'a.test');
  t.equal(await two, null);
});

t.test('without an answer there is no name', async (t) => {
  const desk = new NameDesk(() => undefined);
  t.equal(await desk.ask(1, '192.0.2.1'), null);
});
