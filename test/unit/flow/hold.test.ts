import t from 'tap';
import { describeHeld } from '#src/flow/hold.ts';
import type { ObjectName, Operation } from '#src/flow/operation.ts';

const about = { flow: '00', agent: 'a', timeoutMs: 1 };
const operation = (verb: string, relations: ObjectName[] = [], functions: ObjectName[] = []): Operation => ({
  protocol: 'postgres',
  verb,
  effects: new Set(),
  relations,
  functions,
  columns: [],
});

t.test('kind and objects are told, each once', async (t) => {
  const users = { schema: 'app', name: 'users' };
  const operations = [
    operation('DELETE', [users, users]),
    operation('SELECT', [], [{ schema: null, name: 'f' }]),
  ];
  t.strictSame(describeHeld(about, ['r', 'r', 's'], operations), {
    ...about,
    rules: ['r', 's'],
    verbs: ['DELETE', 'SELECT'],
    objects: ['app.users', 'f()'],
    more: 0,
  });
});

t.test('lists and texts are bounded, and what is left out is counted', async (t) => {
  const names = Array.from({ length: 20 }, (_, n) => ({ schema: null, name: `${n}${'x'.repeat(200)}` }));
  const told = describeHeld(about, ['r'], [operation('DELETE', names)]);
  t.equal(told.objects.length, 16);
  t.equal(told.more, 4);
  t.ok(told.objects.every(({ length }) => length === 130));
});
