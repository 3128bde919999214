import t from 'tap';
import { describeHeld, shownText } from '#src/flow/hold.ts';
import type { ObjectName, Operation } from '#src/flow/operation.ts';

const shown = { texts: [{ text: 'x', bytes: 1 }], values: ['1'] };
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
  t.strictSame(describeHeld(about, ['r', 'r', 's'], operations, shown), {
    ...about,
    rules: ['r', 's'],
    verbs: ['DELETE', 'SELECT'],
    objects: ['app.users', 'f()'],
    ...shown,
    more: 0,
  });
});

t.test('lists and texts are bounded, and what is left out is counted', async (t) => {
  const names = Array.from({ length: 20 }, (_, n) => ({ schema: null, name: `${n}${'x'.repeat(200)}` }));
  const told = describeHeld(about, ['r'], [operation('DELETE', names)], shown);
  t.equal(told.objects.length, 16);
  t.equal(told.more, 4);
  t.ok(told.objects.every(({ length }) => length === 130));
});

t.test('what is shown is cut where it is long, and says how long it is', async (t) => {
  t.strictSame(shownText(Buffer.from('ä'), 2), { text: 'ä', bytes: 2 });
  t.strictSame(shownText(null, 7), { text: null, bytes: 7 });
  const { text, bytes } = shownText(Buffer.alloc(10_000, 'x'), 10_000);
  t.strictSame([text?.length, bytes], [4_096, 10_000]);
  const many = {
    texts: Array.from({ length: 6 }, () => ({ text: 'x', bytes: 1 })),
    values: Array(20).fill('1'),
  };
  const told = describeHeld(about, ['r'], [operation('DELETE')], many);
  t.strictSame([told.texts.length, told.values.length, told.more], [4, 16, 6]);
});
