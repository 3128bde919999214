import t from 'tap';
import { checkFraming } from '#src/protocols/http1/framing.ts';

const length = (value: string) => ['content-length', value] as const;
const coding = (value: string) => ['transfer-encoding', value] as const;

t.test('lets through what has one reading', async (t) => {
  for (const fields of [
    [],
    [length('0')],
    [length('123456789012345')],
    [coding('chunked')],
    [coding('Chunked')],
    [coding('gzip, chunked')],
    [coding('gzip'), coding('chunked')],
  ]) {
    t.doesNotThrow(() => checkFraming(fields, '1.1'), JSON.stringify(fields));
  }
});

t.test('refuses what two recipients could frame differently', async (t) => {
  for (const fields of [
    [length('5'), coding('chunked')],
    [coding('chunked'), length('5')],
    [length('5'), length('5')],
    [length('5, 5')],
    [length('+5')],
    [length('-1')],
    [length('0x5')],
    [length('5 5')],
    [length('')],
    [length('1234567890123456')],
    [coding('')],
    [coding('identity')],
    [coding('xchunked')],
    [coding('chunked, gzip')],
    [coding('chunked, chunked')],
    [coding('chunked'), coding('chunked')],
    [coding('chunked,')],
    [coding('\u00a0chunked')],
    [coding('chunked\u00a0')],
    [coding('chunked;a=b')],
    [coding('gzip;a=", chunked')],
  ]) {
    t.throws(
      () => checkFraming(fields, '1.1'),
      { name: 'ProtocolError', message: /^HTTP request: / },
      JSON.stringify(fields),
    );
  }
  t.throws(
    () => checkFraming([coding('chunked')], '1.0'),
    { name: 'ProtocolError', message: /^HTTP/ },
    'HTTP/1.0 has no codings',
  );
});
