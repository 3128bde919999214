import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { connect } from 'node:tls';
import t, { type Test } from 'tap';
import { CLIENT_HELLO_MAX_BYTES, type ClientHello, ClientHelloReader } from '#src/tls/client-hello.ts';
import {
  alpn,
  extension,
  helloMessage,
  inRecords,
  keyShares,
  sni,
  supportedGroups,
  supportedVersions,
  u16,
  vector,
} from '#test/support/client-hello.ts';
import { type Outcome, outcomeOf } from '#test/support/outcome.ts';
import { fuzz, underEverySplit } from '#test/support/readers.ts';

function readAll(chunks: readonly Buffer[]): Outcome<ClientHello | null> {
  const reader = new ClientHelloReader();
  let hello: ClientHello | null = null;
  return outcomeOf(
    chunks,
    (chunk) => {
      hello = reader.push(chunk);
    },
    () => hello,
  );
}

/** The same under every split, or the test fails. */
function readEveryWay(t: Test, bytes: Buffer): Outcome<ClientHello | null> {
  return underEverySplit(t, readAll, bytes, 20);
}

const FULL = helloMessage({
  extensions: [
    extension(0x2a2a),
    sni('API.Example.org'),
    alpn('h2', Buffer.from('0a0a', 'hex'), 'http/1.1', Buffer.from([1, 2])),
    supportedVersions(0x3a3a, 0x0304, 0x0303),
    supportedGroups(0xfafa, 0x11ec, 0x001d),
    keyShares(0xfafa, 0x11ec, 0x001d),
    extension(0xfe0d, Buffer.alloc(200, 3)),
    extension(0x8a8a, Buffer.from([0])),
  ],
});

t.test('reads what a modern client offers, without GREASE', async (t) => {
  t.same(readEveryWay(t, inRecords(FULL)), {
    value: {
      serverName: 'api.example.org',
      alpn: ['h2', 'http/1.1', '0x0102'],
      versions: [0x0304, 0x0303],
      groups: [0x11ec, 0x001d],
      keyShareGroups: [0x11ec, 0x001d],
      encryptedClientHello: true,
    },
  });
});

t.test('reads the same from a message cut over many records', async (t) => {
  const expected = readAll([inRecords(FULL)]);
  for (const fragmentBytes of [1, 2, 3, 5, 100]) {
    t.same(readEveryWay(t, inRecords(FULL, fragmentBytes)), expected, `records of ${fragmentBytes}`);
  }
});

t.test('reads an old ClientHello without extensions', async (t) => {
  const bytes = inRecords(helloMessage({ legacyVersion: 0x0301, extensions: null }));
  t.same(readEveryWay(t, bytes), {
    value: {
      serverName: null,
      alpn: [],
      versions: [0x0301],
      groups: [],
      keyShareGroups: [],
      encryptedClientHello: false,
    },
  });
});

t.test('goes on saying the same once it is read, and leaves what follows alone', async (t) => {
  const reader = new ClientHelloReader();
  const hello = reader.push(Buffer.concat([inRecords(FULL), Buffer.from('not a record')]));
  t.not(hello, null);
  t.equal(reader.push(Buffer.from('nor this')), hello);
});

t.test('encrypted ClientHello is seen in its draft forms too', async (t) => {
  for (const type of [0xfe0d, 0xfe08, 0xffce]) {
    t.match(readAll([inRecords(helloMessage({ extensions: [extension(type)] }))]), {
      value: { encryptedClientHello: true },
    });
  }
});

t.test('server names', async (t) => {
  const nameOf = (name: string | Buffer): Outcome<ClientHello | null> =>
    readEveryWay(t, inRecords(helloMessage({ extensions: [sni(name)] })));
  t.match(nameOf('Example.ORG.'), { value: { serverName: 'example.org' } }, 'one spelling');
  t.match(nameOf('my_service'), { value: { serverName: 'my_service' } });
  t.match(nameOf('192.0.2.1'), { value: { serverName: null } }, 'an IPv4 address is no name');
  t.match(nameOf('2001:db8::1'), { value: { serverName: null } }, 'an IPv6 address is no name');
  const error = 'TLS: a server name that is no host name';
  for (const bad of [
    'a..b',
    '-a',
    'a b',
    'a\0b.org',
    '127.1',
    '*.org',
    Buffer.from('é.org'),
    'a'.repeat(64),
  ]) {
    t.match(nameOf(bad), { error }, JSON.stringify(bad.toString()));
  }
});

t.test('refuses a message that can be read in two ways', async (t) => {
  const refused = (extensions: readonly Buffer[], error: string): void => {
    const outcome = readEveryWay(t, inRecords(helloMessage({ extensions })));
    t.same(outcome, { error, fault: 'agent', protocol: 'tls' }, error);
  };
  const host = (type: number, name: string): Buffer =>
    Buffer.concat([Buffer.from([type]), vector(2, Buffer.from(name))]);
  refused([sni('a.org'), sni('b.org')], 'TLS: the same extension twice');
  refused([extension(0, vector(2, host(0, 'a.org'), host(0, 'b.org')))], 'TLS: more than one server name');
  refused([extension(0, vector(2, host(1, 'a.org')))], 'TLS: a server name of an unknown type');
  refused([extension(0, vector(2))], 'server_name extension has a vector that is too short');
  refused(
    [extension(0, vector(2, host(0, 'a')), Buffer.alloc(1))],
    'server_name extension has bytes after its end',
  );
  refused([extension(0, u16(9), host(0, 'a'))], 'server_name extension is cut short');
  refused([extension(16, vector(2, vector(1)))], 'ALPN extension has a vector that is too short');
  refused([extension(43, vector(1, Buffer.alloc(3)))], 'supported_versions extension is cut short');
  refused([extension(10, vector(2, Buffer.alloc(3)))], 'supported_groups extension is cut short');
  refused(
    [extension(51, vector(2, u16(29), vector(2)))],
    'key_share extension has a vector that is too short',
  );
  refused([Buffer.from([0, 0, 0])], 'ClientHello is cut short');
});

t.test('refuses a broken message or record', async (t) => {
  const message = helloMessage();
  const record = (type: number, version: number, length: number, body: Buffer): Buffer =>
    Buffer.concat([Buffer.from([type]), u16(version), u16(length), body]);
  const serverHello = Buffer.from(message);
  serverHello[0] = 2;
  const cases: readonly (readonly [Buffer, string])[] = [
    [inRecords(helloMessage({ sessionId: Buffer.alloc(33) })), 'TLS: a session id that is too long'],
    [inRecords(helloMessage({ cipherSuites: Buffer.alloc(3) })), 'ClientHello is cut short'],
    [
      inRecords(helloMessage({ cipherSuites: Buffer.alloc(0) })),
      'ClientHello has a vector that is too short',
    ],
    [inRecords(helloMessage({ compression: Buffer.alloc(0) })), 'ClientHello has a vector that is too short'],
    [inRecords(helloMessage({ tail: Buffer.alloc(1) })), 'ClientHello has bytes after its end'],
    [inRecords(serverHello), 'TLS: a handshake message that is no ClientHello'],
    [inRecords(Buffer.concat([message, message])), 'TLS: a record that goes on after the ClientHello'],
    [inRecords(message, 16_384, 0x0305), 'TLS: a record of an unknown version'],
    [record(22, 0x0301, 0, Buffer.alloc(0)), 'TLS: a record of invalid length'],
    [record(22, 0x0301, 16_385, message), 'TLS: a record of invalid length'],
    [
      record(21, 0x0301, 2, Buffer.from([2, 40])),
      'TLS: a record that is no handshake before the ClientHello',
    ],
    [
      Buffer.concat([inRecords(message.subarray(0, 9)), record(23, 0x0301, 1, Buffer.alloc(1))]),
      'TLS: a record that is no handshake before the ClientHello',
    ],
  ];
  for (const [bytes, error] of cases) t.match(readEveryWay(t, bytes), { error }, error);
});

t.test('has a bound, which fragments do not widen', async (t) => {
  const error = 'TLS: ClientHello is longer than Sluice reads';
  const announced = Buffer.concat([Buffer.from([1, 1, 0, 0]), Buffer.alloc(10)]);
  t.match(readEveryWay(t, inRecords(announced)), { error }, 'told by its header alone');
  const padded = (bytes: number): Buffer =>
    helloMessage({ extensions: [extension(21, Buffer.alloc(bytes))] });
  const small = padded(CLIENT_HELLO_MAX_BYTES - 200);
  t.equal(inRecords(small).length <= CLIENT_HELLO_MAX_BYTES, true);
  t.match(readAll([inRecords(small)]), { value: { serverName: null } }, 'just below it');
  t.match(readAll([inRecords(small, 1)]), { error }, 'the same in records of one byte');
});

t.test('reads what the TLS library of this runtime sends', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: '127.0.0.1', servername: 'db.test', ALPNProtocols: ['h2'] });
  client.on('error', () => {});
  const [socket] = await once(server, 'connection');
  const reader = new ClientHelloReader();
  let hello: ClientHello | null = null;
  for await (const chunk of socket) {
    hello = reader.push(chunk);
    if (hello !== null) break;
  }
  client.destroy();
  server.close();
  t.match(hello, {
    serverName: 'db.test',
    alpn: ['h2'],
    versions: [0x0304, 0x0303],
    encryptedClientHello: false,
  });
  t.ok(hello?.groups.includes(0x001d));
  t.ok(hello?.keyShareGroups.every((group) => hello?.groups.includes(group)));
});

t.test('fuzz: a value or the typed error, and the same under any split', async (t) => {
  const seeds = [inRecords(FULL), inRecords(FULL, 40), inRecords(helloMessage()), FULL];
  fuzz(t, { readAll, seeds, randomSeed: 11, rounds: 1_500 });
});
