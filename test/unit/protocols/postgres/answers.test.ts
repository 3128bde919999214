import t from 'tap';
import { errorAnswer } from '#src/protocols/postgres/answers.ts';

function fieldsOf(answer: Buffer): string[] {
  return answer.toString('utf8', 5, answer.length - 2).split('\0');
}

t.test('is a FATAL ErrorResponse', async (t) => {
  const answer = errorAnswer({ sqlState: '08001', message: 'no', detail: 'why', hint: 'mend' });
  t.equal(answer.toString('latin1', 0, 1), 'E');
  t.equal(answer.readUInt32BE(1), answer.length - 1);
  t.same(fieldsOf(answer), ['SFATAL', 'VFATAL', 'C08001', 'Mno', 'Dwhy', 'Hmend']);
  t.same([...answer.subarray(-2)], [0, 0]);
});

t.test('detail and hint may be left out', async (t) => {
  t.same(fieldsOf(errorAnswer({ sqlState: '08006', message: 'no' })), ['SFATAL', 'VFATAL', 'C08006', 'Mno']);
});

t.test('no text can break out of its field', async (t) => {
  t.same(fieldsOf(errorAnswer({ sqlState: '08006', message: 'a\0Hb\r\n\u001b[0m' })).at(-1), 'Ma Hb [0m');
});

t.test('stays below what libpq takes from a server, and whole in its characters', async (t) => {
  const long = `x${'€'.repeat(20_000)}`;
  const answer = errorAnswer({ sqlState: '08006', message: long, detail: long, hint: long });
  t.ok(answer.length < 30_000);
  t.equal(answer.toString('utf8').includes('\ufffd'), false);
});
