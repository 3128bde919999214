import t from 'tap';
import { isAnswerTo, readAnswer } from '#src/protocols/dns/answer.ts';
import { type Query, readQuery } from '#src/protocols/dns/query.ts';
import { encodeAnswer, encodeQuestion, encodeRefusal, encodeUnread } from '#src/protocols/dns/write.ts';
import { edns, message, pointer, QUESTION, query, record, u16, wire } from '#test/support/dns-messages.ts';

const IP = Buffer.from([192, 0, 2, 7]);
const asked = (parts: Parameters<typeof query>[0] = {}): Query => readQuery(query(parts));

t.test('the question to a resolver is ours', async (t) => {
  const cookie = Buffer.concat([u16(10, 8), Buffer.from('smuggled')]);
  const agent = asked({ flags: 0x0110, additional: [edns(4096, 0x8000, cookie)] });
  const question = { id: 99, name: wire('A.tEst'), type: 1 };
  t.same(
    encodeQuestion(question, agent),
    query({ id: 99, flags: 0x0110, name: 'A.tEst', additional: [edns(1232, 0x8000)] }),
  );
});

t.test('an answer is the agent’s: its id, its spelling, its EDNS', async (t) => {
  const question = { id: 99, name: wire('a.TEST'), type: 1 };
  const records = [record(pointer(QUESTION), 1, IP)];
  const bytes = message({ id: 99, name: 'a.TEST', answers: records, additional: [edns(1232, 0, u16(3, 0))] });
  t.equal(isAnswerTo(bytes, question), true);
  const answer = readAnswer(bytes, question);
  t.same(
    encodeAnswer(asked({ name: 'A.test' }), answer, bytes, 'udp'),
    message({ name: 'A.test', answers: records }),
  );
  t.same(
    encodeAnswer(asked({ additional: [edns(4096)] }), answer, bytes, 'udp'),
    message({ answers: records, additional: [edns()] }),
  );
});

t.test('what does not fit the agent’s datagram says so', async (t) => {
  const question = { id: 99, name: wire('a.test'), type: 16 };
  const records = Array.from({ length: 4 }, () => record(pointer(QUESTION), 16, Buffer.alloc(200)));
  const bytes = message({ id: 99, type: 16, answers: records });
  const answer = readAnswer(bytes, question);
  const cut = message({ flags: 0x8380, type: 16 });
  t.same(encodeAnswer(asked({ type: 16 }), answer, bytes, 'udp'), cut);
  t.equal(encodeAnswer(asked({ type: 16 }), answer, bytes, 'tcp').length, bytes.length);
  t.equal(
    encodeAnswer(asked({ type: 16, additional: [edns(1232)] }), answer, bytes, 'udp').length,
    bytes.length + 11,
  );
});

t.test('refusals', async (t) => {
  t.same(encodeRefusal(asked(), 5, 18), message({ flags: 0x8185 }));
  t.same(
    encodeRefusal(asked({ additional: [edns()] }), 3, 18),
    message({ flags: 0x8183, additional: [edns(1232, 0, u16(15, 2, 18))] }),
  );
  t.same(encodeUnread(query({ flags: 0x2900 }), 4), u16(7, 0xa904, 0, 0, 0, 0), 'nothing of what it held');
});
