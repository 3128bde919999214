import t from 'tap';
import { DETECT_MAX_BYTES, type Detection, detect } from '#src/protocols/detect.ts';
import { mutate, seededRandom } from '#test/support/splits.ts';

const text = (value: string): Buffer => Buffer.from(value, 'latin1');
const hex = (value: string): Buffer => Buffer.from(value.replaceAll(' ', ''), 'hex');

const CASES: readonly (readonly [string, Buffer, Detection])[] = [
  ['nothing yet', text(''), 'need-more'],
  ['HTTP origin-form', text('GET / HTTP/1.1\r\n'), 'http'],
  ['HTTP asterisk-form', text('OPTIONS * HTTP/1.1\r\n'), 'http'],
  ['HTTP absolute-form', text('GET http://a/ HTTP/1.1\r\n'), 'http'],
  ['HTTP absolute-form, capitals', text('GET HTTPS://a/ HTTP/1.1\r\n'), 'http'],
  ['HTTP CONNECT', text('CONNECT a:443 HTTP/1.1\r\n'), 'http'],
  ['HTTP longest method', text('ABCDEFGHIJKLMNOPQRST https://a/'), 'http'],
  ['HTTP after empty lines', text('\r\n\r\nGET / HTTP/1.1\r\n'), 'http'],
  ['HTTP method only', text('GET'), 'need-more'],
  ['HTTP scheme cut', text('GET htt'), 'need-more'],
  ['empty line cut', text('\r\n\r'), 'need-more'],
  ['empty lines only', text('\r\n\r\n'), 'need-more'],
  ['too many empty lines', text('\r\n\r\n\r'), 'unknown'],
  ['bare LF', text('\nGET / HTTP/1.1'), 'unknown'],
  ['method too long', text('ABCDEFGHIJKLMNOPQRSTU'), 'unknown'],
  ['HTTP/2 preface', text('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), 'unknown'],
  ['SSH', text('SSH-2.0-OpenSSH_9.2\r\n'), 'unknown'],
  ['Redis', text('*1\r\n$4\r\nPING\r\n'), 'unknown'],
  ['Redis inline', text('SET key value\r\n'), 'unknown'],
  ['memcached', text('get key\r\n'), 'unknown'],
  ['MQTT', hex('10 1a 0004 4d515454 04'), 'unknown'],
  ['TLS ClientHello', hex('16 0301 0200 01 0001fc 0303'), 'tls'],
  ['TLS, the shortest first record', hex('16 0303 0001 01'), 'tls'],
  ['TLS, the longest first record', hex('16 0304 4000 01'), 'tls'],
  ['TLS, header without message', hex('16 0301 0200'), 'need-more'],
  ['TLS record too long', hex('16 0301 4001 01'), 'unknown'],
  ['TLS record empty', hex('16 0301 0000'), 'unknown'],
  ['TLS version of another family', hex('16 0305'), 'unknown'],
  ['TLS ServerHello', hex('16 0303 0050 02'), 'unknown'],
  ['TLS alert', hex('15 0303 0002 02 28'), 'unknown'],
  ['SSLv2-compatible ClientHello', hex('80 2e 01 0301 0015 0000 0010'), 'unknown'],
  ['PostgreSQL 3.0 start-up', hex('00000029 00030000 75736572'), 'postgres'],
  ['PostgreSQL 3.2 start-up', hex('00000029 00030002'), 'postgres'],
  ['PostgreSQL, a minor version of the future', hex('00000029 0003270f'), 'postgres'],
  ['PostgreSQL SSLRequest', hex('00000008 04d2162f'), 'postgres'],
  ['PostgreSQL GSSENCRequest', hex('00000008 04d21630'), 'postgres'],
  ['PostgreSQL CancelRequest', hex('00000010 04d2162e 00000001 00000002'), 'postgres'],
  ['PostgreSQL longest start-up', hex('00002714 00030000'), 'postgres'],
  ['PostgreSQL cut in the length', hex('0000'), 'need-more'],
  ['PostgreSQL cut in the version', hex('00000029 0003'), 'need-more'],
  ['PostgreSQL cut in the request code', hex('00000008 04d216'), 'need-more'],
  ['PostgreSQL start-up too long', hex('00002715'), 'unknown'],
  ['PostgreSQL start-up too short', hex('00000007'), 'unknown'],
  ['PostgreSQL 2.0', hex('00000128 00020000'), 'unknown'],
  ['a code next to PostgreSQL’s', hex('00000008 04d21631'), 'unknown'],
  ['NULs', Buffer.alloc(64), 'unknown'],
];

for (const [name, bytes, expected] of CASES) {
  t.test(name, async (t) => {
    t.equal(detect(bytes), expected);
  });
}

t.test('an answer never changes with more bytes, and one is given in time', async (t) => {
  const random = seededRandom(7);
  const answers: readonly Detection[] = ['need-more', 'tls', 'http', 'postgres', 'unknown'];
  for (let round = 0; round < 2_000; round += 1) {
    const [, start] = CASES[Math.floor(random() * CASES.length)] ?? ['', text('')];
    const tail = Buffer.from(Array.from({ length: DETECT_MAX_BYTES }, () => Math.floor(random() * 256)));
    const bytes = Buffer.concat([round % 3 === 0 ? start : mutate(start, random), tail]);
    let previous: Detection = 'need-more';
    let steady = true;
    for (let length = 0; length <= bytes.length; length += 1) {
      const answer = detect(bytes.subarray(0, length));
      steady &&= answers.includes(answer) && (previous === 'need-more' || answer === previous);
      steady &&= length < DETECT_MAX_BYTES || answer !== 'need-more';
      previous = answer;
    }
    if (!steady) t.fail(`round ${round}: ${bytes.toString('hex')}`);
  }
  t.pass('2,000 streams');
});
