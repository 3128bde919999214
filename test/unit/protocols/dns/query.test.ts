import t from 'tap';
import { ProtocolError } from '#src/core/protocol-error.ts';
import { QueryError, readQuery } from '#src/protocols/dns/query.ts';
import { edns, pointer, query, u16, wire } from '#test/support/dns-messages.ts';
import { mutate, seededRandom } from '#test/support/splits.ts';

/** The response code it is refused with; `silence` where nothing may be answered. */
const refused = (bytes: Buffer): number | 'silence' | 'read' => {
  try {
    readQuery(bytes);
    return 'read';
  } catch (error) {
    if (error instanceof QueryError) return error.rcode;
    if (error instanceof ProtocolError) return 'silence';
    throw error;
  }
};

t.test('a question, with and without EDNS', async (t) => {
  t.same(readQuery(query({ name: 'A.test', type: 28 })), {
    id: 7,
    recursionDesired: true,
    authenticData: false,
    checkingDisabled: false,
    name: wire('A.test'),
    type: 28,
    edns: null,
  });
  const cookie = Buffer.concat([u16(10, 8), Buffer.alloc(8)]);
  t.match(readQuery(query({ flags: 0x0130, additional: [edns(4096, 0x8000, cookie)] })), {
    authenticData: true,
    checkingDisabled: true,
    edns: { datagramBytes: 4096, dnssecOk: true },
  });
  t.match(readQuery(query({ additional: [edns(0)] })), { edns: { datagramBytes: 512, dnssecOk: false } });
});

t.test('what is no question', async (t) => {
  t.equal(refused(Buffer.alloc(0)), 'silence');
  t.equal(refused(query().subarray(0, 11)), 'silence');
  t.equal(refused(query({ flags: 0x8100 })), 'silence', 'answers are never answered');
  t.equal(refused(query({ flags: 0x2800 })), 4, 'an update');
  t.equal(refused(query({ flags: 0x0300 })), 1, 'cut');
  t.equal(refused(query({ flags: 0x0140 })), 1, 'a reserved bit');
  t.equal(refused(query({ type: 252 })), 5, 'a zone transfer');
  t.equal(refused(query({ type: 0 })), 1);
  t.equal(refused(query({ type: 41 })), 1);
  t.equal(refused(query({ tail: Buffer.from('x') })), 1, 'bytes behind it');
  t.equal(refused(query({ answers: [edns()] })), 1);
  t.equal(refused(query({ additional: [edns(), edns()] })), 1);
  t.equal(refused(query({ additional: [edns()], tail: Buffer.from('x') })), 1);
  t.equal(refused(query({ additional: [edns().subarray(0, 8)] })), 1);
  const other = Buffer.concat([Buffer.from([0]), u16(250, 1, 0, 0, 0)]);
  t.equal(refused(query({ additional: [other] })), 1, 'a signature');
  t.equal(refused(Buffer.concat([u16(7, 0x100, 0, 0, 0, 0)])), 1, 'no question');
  t.equal(refused(Buffer.concat([u16(7, 0x100, 2, 0, 0, 0), wire('a'), u16(1, 1), wire('b'), u16(1, 1)])), 1);
  t.equal(refused(Buffer.concat([u16(7, 0x100, 1, 0, 0, 0), wire('a'), u16(1, 3)])), 5, 'class CH');
  t.equal(refused(Buffer.concat([u16(7, 0x100, 1, 0, 0, 0), pointer(0), u16(1, 1)])), 1, 'compressed');
  t.equal(refused(Buffer.concat([query(), Buffer.alloc(5000)])), 1, 'too long');
});

t.test('cut anywhere it is refused, and broken anyhow it is a question or the error', async (t) => {
  const whole = query({ name: 'www.example.test', additional: [edns(1232, 0, u16(10, 0))] });
  for (let length = 0; length < whole.length; length += 1) t.not(refused(whole.subarray(0, length)), 'read');
  const random = seededRandom(11);
  const counts = { read: 0, other: 0 };
  for (let round = 0; round < 20_000; round += 1)
    counts[refused(mutate(whole, random)) === 'read' ? 'read' : 'other'] += 1;
  t.ok(counts.read > 100 && counts.other > 1000, JSON.stringify(counts));
});
