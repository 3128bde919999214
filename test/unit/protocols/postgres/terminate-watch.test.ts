/** The end of a session among messages that wait. */
import t from 'tap';
import { TerminateWatch } from '#src/protocols/postgres/terminate-watch.ts';
import { message } from '#test/support/postgres-packets.ts';
import { splitsOf } from '#test/support/splits.ts';

const SYNC = message('S');
const DATA = message('d', Buffer.from('X\0\0\0\u0004X'));
const TERMINATE = message('X');

const sees = (chunks: readonly Buffer[]): boolean => {
  const watch = new TerminateWatch();
  return chunks.map((chunk) => watch.sees(chunk)).includes(true);
};

t.test('is found behind other messages, however they are cut', async (t) => {
  for (const { name, chunks } of splitsOf(Buffer.concat([SYNC, DATA, SYNC, TERMINATE])))
    t.ok(sees(chunks), name);
});

t.test('what only looks like it inside of a message is none', async (t) => {
  for (const { name, chunks } of splitsOf(Buffer.concat([DATA, SYNC, DATA]))) t.notOk(sees(chunks), name);
});

t.test('begins anew with the next message that waits', async (t) => {
  const watch = new TerminateWatch();
  t.notOk(watch.sees(DATA.subarray(0, 7)));
  watch.restart();
  t.ok(watch.sees(TERMINATE));
});
