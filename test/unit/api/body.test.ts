import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import t from 'tap';
import { readJsonObject, stringMember } from '#src/api/body.ts';

function request(bytes: Buffer, step: number): IncomingMessage {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += step) chunks.push(bytes.subarray(at, at + step));
  return Readable.from(chunks) as IncomingMessage;
}

t.test('reads an object whole and byte by byte', async (t) => {
  const bytes = Buffer.from('{"text":"größer"}');
  for (const step of [bytes.length, 1])
    t.same(await readJsonObject(request(bytes, step), 100), { text: 'größer' });
});

t.test('refuses anything else', async (t) => {
  for (const text of ['', '[]', 'null', '"x"', '1', '{', '{"a":1}x']) {
    await t.rejects(
      readJsonObject(request(Buffer.from(text), 4), 100),
      { code: 'API', apiCode: 'BAD_REQUEST' },
      text,
    );
  }
  await t.rejects(readJsonObject(request(Buffer.from([0x22, 0xff, 0x22]), 4), 100), {
    code: 'API',
    apiCode: 'BAD_REQUEST',
  });
});

t.test('the bound is exact', async (t) => {
  const bytes = Buffer.from('{"a":1}');
  t.same(await readJsonObject(request(bytes, 3), 7), { a: 1 });
  await t.rejects(readJsonObject(request(bytes, 3), 6), { code: 'API', apiCode: 'TOO_LARGE' });
});

t.test('members are checked, and their values not repeated', async (t) => {
  t.equal(stringMember({ name: 'abc' }, 'name', 3), 'abc');
  for (const name of ['', 'abcd', 1, null, undefined, {}]) {
    t.throws(() => stringMember({ name }, 'name', 3), {
      apiCode: 'BAD_REQUEST',
      message: /^name: not a string/,
    });
  }
});
