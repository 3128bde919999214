import t from 'tap';
import { isServerFirstRecord, readRecordHeader } from '#src/tls/record.ts';

const hex = (value: string): Buffer => Buffer.from(value.replaceAll(' ', ''), 'hex');

t.test('reads a header, and waits for all of it', async (t) => {
  t.same(readRecordHeader(hex('16 0301 0102 99')), { type: 22, version: 0x0301, length: 0x0102 });
  t.equal(readRecordHeader(hex('16 0301 01')), undefined);
  t.equal(readRecordHeader(hex('')), undefined);
});

const CASES: readonly (readonly [string, Buffer, 'need-more' | 'tls' | 'not-tls'])[] = [
  ['nothing yet', hex(''), 'need-more'],
  ['half a header', hex('16 0303'), 'need-more'],
  ['ServerHello', hex('16 0303 007a 02'), 'tls'],
  ['handshake_failure alert', hex('15 0303 0002 02 28'), 'tls'],
  ['alert of an old server', hex('15 0300 0002'), 'tls'],
  ['handshake record without content', hex('16 0303 0000'), 'not-tls'],
  ['handshake record too long', hex('16 0303 4001'), 'not-tls'],
  ['alert of another length', hex('15 0303 0003'), 'not-tls'],
  ['application data', hex('17'), 'not-tls'],
  ['another version family', hex('16 02'), 'not-tls'],
  ['a version that does not exist', hex('16 0305'), 'not-tls'],
  ['HTTP 400 of a server without TLS', Buffer.from('HTTP/1.1 400 Bad Request\r\n'), 'not-tls'],
  ['SSH banner', Buffer.from('SSH-2.0-'), 'not-tls'],
  ['PostgreSQL error', Buffer.from('E'), 'not-tls'],
];

for (const [name, bytes, expected] of CASES) {
  t.test(name, async (t) => {
    t.equal(isServerFirstRecord(bytes), expected);
    for (let length = 0; length < bytes.length; length += 1) {
      const early = isServerFirstRecord(bytes.subarray(0, length));
      t.ok(early === 'need-more' || early === expected, `no other answer after ${length} bytes`);
    }
  });
}
