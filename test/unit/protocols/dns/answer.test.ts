import t from 'tap';
import { ProtocolError } from '#src/core/protocol-error.ts';
import { type Answer, isAnswerTo, readAnswer } from '#src/protocols/dns/answer.ts';
import {
  edns,
  message,
  type Parts,
  pointer,
  QUESTION,
  record,
  u16,
  wire,
} from '#test/support/dns-messages.ts';
import { mutate, seededRandom } from '#test/support/splits.ts';

const SELF = pointer(QUESTION);
const IP = Buffer.from([192, 0, 2, 7]);
const IP6 = Buffer.from('20010db8000000000000000000000007', 'hex');
const question = (name = 'a.test', type = 1) => ({ id: 7, name: wire(name), type });

const read = (parts: Parts): Answer => readAnswer(message(parts), question(parts.name, parts.type));
const refused = (parts: Parts): string => {
  try {
    read(parts);
    return 'read';
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    t.equal(error.fault, 'server');
    return error.message;
  }
};

t.test('is it an answer to the question at all', async (t) => {
  const answers = (parts: Parts, asked = question()): boolean => isAnswerTo(message(parts), asked);
  t.equal(answers({}), true);
  t.equal(answers({ id: 8 }), false);
  t.equal(answers({ flags: 0x0100 }), false, 'a query');
  t.equal(answers({ flags: 0xa180 }), false, 'another operation');
  t.equal(answers({ type: 28 }), false);
  t.equal(answers({ name: 'b.test' }), false);
  t.equal(answers({ name: 'A.test' }), false, 'another spelling');
  t.equal(answers({ name: 'aa.test' }), false);
  t.equal(isAnswerTo(u16(7, 0x8180, 0, 0, 0, 0), question()), false);
  t.equal(isAnswerTo(Buffer.alloc(0), question()), false);
});

t.test('addresses, directly and along aliases', async (t) => {
  t.match(read({ answers: [record(SELF, 1, IP, 30), record(SELF, 1, Buffer.from([192, 0, 2, 8]), 20)] }), {
    rcode: 0,
    addresses: [IP, Buffer.from([192, 0, 2, 8])],
    ttlSeconds: 20,
    answers: 2,
  });
  t.match(read({ type: 28, answers: [record(SELF, 28, IP6)] }), { addresses: [IP6] });
  const chain = [
    record(SELF, 5, wire('B.test'), 10),
    record(wire('b.test'), 5, wire('c.test'), 300),
    record(wire('C.TEST'), 1, IP, 300),
  ];
  t.match(read({ answers: chain }), { addresses: [IP], ttlSeconds: 10 });
  t.match(read({ answers: chain.toReversed() }), { addresses: [IP] }, 'in any order');
  t.match(read({ answers: chain.slice(0, 2) }), { addresses: [] }, 'a chain to nowhere');
  const signed = record(SELF, 46, Buffer.alloc(20));
  t.match(read({ answers: [record(SELF, 1, IP), signed] }), { addresses: [IP] });
  const dname = record(wire('test'), 39, wire('org'));
  t.match(read({ answers: [dname, record(SELF, 5, wire('a.org')), record(wire('a.org'), 1, IP)] }), {
    addresses: [IP],
  });
  t.match(read({ answers: [record(SELF, 1, IP, 0xffffffff)] }), { ttlSeconds: 0 });
});

t.test('what the resolver says beside it', async (t) => {
  const soa = record(wire('test'), 6, Buffer.concat([wire('ns.test'), wire('x.test'), Buffer.alloc(20)]));
  const parts = { flags: 0x85a3, authorities: [soa], additional: [edns()] };
  const answer = read(parts);
  t.match(answer, {
    rcode: 3,
    authoritative: true,
    recursionAvailable: true,
    authenticData: true,
    authorities: 1,
  });
  t.equal(answer.end, message(parts).length - 11, 'the additional section stays behind');
  t.match(read({ flags: 0x8380, tail: Buffer.from('half a rec') }), { truncated: true, addresses: [] });
  const extended = Buffer.from(edns());
  extended[5] = 1;
  t.equal(read({ additional: [extended] }).rcode, 16);
});

t.test('lies', async (t) => {
  const bank = wire('bank.test');
  const self = wire('a.test');
  t.match(refused({ answers: [record(SELF, 1, IP), record(bank, 1, IP)] }), /nobody asked/);
  t.match(refused({ answers: [record(bank, 5, SELF)] }), /nobody asked/);
  t.match(refused({ answers: [record(SELF, 28, IP6)] }), /nobody asked/, 'another family');
  t.match(
    refused({ answers: [record(SELF, 5, bank), record(SELF, 1, IP)] }),
    /nobody asked/,
    'beside an alias',
  );
  t.match(refused({ answers: [record(SELF, 5, self)] }), /without an end/);
  t.match(refused({ answers: [record(SELF, 5, bank), record(bank, 5, self)] }), /without an end/);
  t.match(refused({ answers: [record(SELF, 5, bank), record(SELF, 5, wire('b.test'))] }), /two aliases/);
  const long = Array.from({ length: 40 }, (_, n) =>
    record(n === 0 ? SELF : wire(`n${n}.test`), 5, wire(`n${n + 1}.test`)),
  );
  t.match(refused({ answers: long }), /without an end/);
  t.match(refused({ answers: [record(wire('other'), 39, wire('org'))] }), /nobody asked/);
  t.match(refused({ answers: [record(SELF, 1, IP, 60, 3)] }), /class/);
  t.match(refused({ answers: [record(SELF, 1, IP.subarray(0, 3))] }), /another length/);
  t.match(refused({ type: 28, answers: [record(SELF, 28, IP)] }), /another length/);
  t.match(refused({ answers: [edns()] }), /wrong section/);
  t.match(refused({ additional: [edns(), edns()] }), /twice/);
  t.match(refused({ additional: [Buffer.concat([wire('x'), edns().subarray(1)])] }), /under a name/);
  t.match(refused({ tail: Buffer.from('x') }), /behind the last/);
  t.match(refused({ answers: [record(SELF, 1, IP).subarray(0, 13)] }), /cut short/);
});

t.test('names in the data of records are read to their end, and no further', async (t) => {
  const cname = (data: Buffer): string => refused({ answers: [record(SELF, 5, data)] });
  t.match(cname(Buffer.concat([wire('b.test'), Buffer.from('x')])), /another length/);
  t.match(cname(wire('b.test').subarray(0, 5)), /cut short/);
  t.match(cname(pointer(2000)), /forward/);
  // It points at itself: the data of the first record lies behind question and record head.
  t.match(cname(pointer(QUESTION + wire('a.test').length + 4 + 12)), /itself/);
  const mx = (data: Buffer): string => refused({ type: 15, answers: [record(SELF, 15, data)] });
  t.equal(mx(Buffer.concat([u16(10), wire('m.test')])), 'read');
  t.match(mx(u16(10)), /cut short/);
  t.equal(refused({ type: 33, answers: [record(SELF, 33, Buffer.concat([u16(1, 1, 80), SELF]))] }), 'read');
  t.match(
    refused({ type: 6, answers: [record(SELF, 6, Buffer.concat([SELF, SELF, Buffer.alloc(19)]))] }),
    /length/,
  );
  t.equal(
    refused({ type: 64, answers: [record(SELF, 64, Buffer.from('anything'))] }),
    'read',
    'a type without names',
  );
});

t.test('cut anywhere it is refused, and broken anyhow it is an answer or the error', async (t) => {
  const answers = [record(SELF, 5, wire('b.test')), record(wire('b.test'), 1, IP)];
  const whole = message({
    answers,
    authorities: [record(wire('test'), 2, wire('ns.test'))],
    additional: [edns()],
  });
  const counts = { read: 0, refused: 0 };
  const attempt = (bytes: Buffer): boolean => {
    if (!isAnswerTo(bytes, question())) return false;
    try {
      const { addresses, end } = readAnswer(bytes, question());
      counts.read += 1;
      if (end > bytes.length || addresses.some(({ length }) => length !== 4)) t.fail(bytes.toString('hex'));
      return true;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      counts.refused += 1;
      return false;
    }
  };
  for (let length = 0; length < whole.length; length += 1) t.equal(attempt(whole.subarray(0, length)), false);
  const random = seededRandom(3);
  for (let round = 0; round < 30_000; round += 1) attempt(mutate(whole, random));
  t.ok(counts.read > 500 && counts.refused > 1000, JSON.stringify(counts));
});
