import t from 'tap';
import { hasItsShape } from '#src/protocols/postgres/masking/shapes.ts';
import { message } from '#test/support/postgres-packets.ts';

const shaped = (letter: string, content: string): boolean => {
  const bytes = Buffer.concat([Buffer.from('before'), message(letter, Buffer.from(content, 'latin1'))]);
  return hasItsShape(letter, bytes, 6, bytes.length);
};

t.test('messages that nobody looks into hold no texts', async (t) => {
  for (const letter of '123nsIc') {
    t.ok(shaped(letter, ''), letter);
    t.notOk(shaped(letter, 'x'), `${letter} with something in it`);
  }
  for (const tag of [
    'SELECT 5',
    'INSERT 0 1',
    'CREATE TABLE AS',
    'SELECT INTO 3',
    'MOVE 18446744073709551615',
    'BEGIN',
  ])
    t.ok(shaped('C', `${tag}\0`), tag);
  for (const tag of ['078-05-1120', 'SELECT', 'SELECT 078-05-1120', 'SELECT 1 2 3', ` ${'A'.repeat(200)}`])
    t.notOk(shaped('C', tag === 'SELECT' ? tag : `${tag}\0`), tag);
  t.ok(shaped('Z', 'I') && shaped('Z', 'T') && shaped('Z', 'E'));
  t.notOk(shaped('Z', 'X') || shaped('Z', '') || shaped('Z', 'II'));
  t.ok(shaped('t', '\0\x01\0\0\0\x19'));
  t.notOk(shaped('t', '\0\x01078-05-1120') || shaped('t', '') || shaped('t', '\0\x02\0\0\0\x19'));
  for (const letter of 'GH') {
    t.ok(shaped(letter, '\0\0\x02\0\0\0\x01'), letter);
    for (const content of ['\x02\0\0', '\0\0\x01\0\x02', '\0\0\x0107', '\0\0\x05', '\0'])
      t.notOk(shaped(letter, content));
  }
  t.ok(shaped('E', 'anything') && shaped('T', ''), 'these are read');
});
