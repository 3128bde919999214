import t from 'tap';
import { parseStartupPacket } from '#src/protocols/postgres/startup-packet.ts';
import { packet, startupMessage } from '#test/support/postgres-packets.ts';

const refused = (problem: string) => ({
  name: 'ProtocolError',
  message: `PostgreSQL start-up packet: ${problem}`,
});

t.test('reads user, database and version', async (t) => {
  t.same(parseStartupPacket(startupMessage({ user: 'app', database: 'shop', application_name: 'x' })), {
    user: 'app',
    database: 'shop',
    major: 3,
    minor: 0,
    replication: false,
    privileged: false,
  });
  t.match(
    parseStartupPacket(startupMessage({ user: 'app' })),
    { database: 'app' },
    'the user’s name by default',
  );
  t.match(parseStartupPacket(startupMessage({ user: 'app', database: '' })), { database: 'app' });
  t.match(parseStartupPacket(startupMessage({ user: 'é' })), { user: 'é' });
  t.match(
    parseStartupPacket(startupMessage({ user: '\ufeffapp' })),
    { user: '\ufeffapp' },
    'nothing is cut off',
  );
});

t.test('takes protocol 3.2 with its options', async (t) => {
  const raw = startupMessage({ user: 'app', '_pq_.some_option': '1' }, 2);
  t.match(parseStartupPacket(raw), { user: 'app', major: 3, minor: 2 });
  t.match(
    parseStartupPacket(startupMessage({ user: 'app' }, 9999)),
    { minor: 9999 },
    'the server negotiates',
  );
});

t.test('refuses other major versions', async (t) => {
  for (const code of [0, 0x00010000, 0x00020000, 0x00040000, 80_877_105]) {
    t.throws(
      () => parseStartupPacket(packet(code, Buffer.from('user\0app\0\0'))),
      refused('a protocol version other than 3'),
    );
  }
});

t.test('refuses a broken list of parameters', async (t) => {
  const parse = (content: string) => () =>
    parseStartupPacket(packet(0x00030000, Buffer.from(content, 'latin1')));
  for (const content of ['', 'user', 'user\0app', 'user\0app\0', 'user\0app\0database\0', 'user\0']) {
    t.throws(parse(content), refused('a string without terminator'), JSON.stringify(content));
  }
  t.throws(parse('user\0app\0\0database\0shop\0\0'), refused('bytes after the terminator'));
  t.throws(parse('user\0app\0\0\0'), refused('bytes after the terminator'));
  t.throws(parse('user\0app\0user\0root\0\0'), refused('a parameter that stands there twice'));
  t.throws(parse('options\0a\0user\0app\0options\0b\0\0'), refused('a parameter that stands there twice'));
  t.throws(parse('\0'), refused('no user name'));
  t.throws(parse('database\0shop\0\0'), refused('no user name'));
  t.throws(parse('user\0\0\0'), refused('no user name'));
});

t.test('refuses names the server would read otherwise', async (t) => {
  const long = 'x'.repeat(64);
  t.throws(
    () => parseStartupPacket(startupMessage({ user: long })),
    refused('a user name longer than 63 bytes'),
  );
  t.throws(
    () => parseStartupPacket(startupMessage({ user: 'app', database: long })),
    refused('a database name longer than 63 bytes'),
  );
  t.match(parseStartupPacket(startupMessage({ user: long.slice(1) })), { user: long.slice(1) });
  const latin1 = packet(0x00030000, Buffer.from('user\0\xe9\0\0', 'latin1'));
  t.throws(() => parseStartupPacket(latin1), refused('a user name that is not UTF-8'));
});

t.test('reads the parameter replication as the server does', async (t) => {
  const replication = (value: string): boolean =>
    parseStartupPacket(startupMessage({ user: 'app', replication: value })).replication;
  for (const value of ['database', 'true', 'T', 'tr', 'on', 'ON', 'yes', 'y', '1'])
    t.equal(replication(value), true, value);
  for (const value of ['false', 'F', 'off', 'of', 'no', 'n', '0']) t.equal(replication(value), false, value);
  for (const value of ['', 'o', '2', 'Database', 'truex', 'true\n', ' on', 'maybe']) {
    t.throws(
      () => replication(value),
      refused('an invalid value of the parameter replication'),
      JSON.stringify(value),
    );
  }
});

t.test('knows what may set a role or libraries, however it is written', async (t) => {
  const privileged = (parameters: Record<string, string>): boolean =>
    parseStartupPacket(startupMessage({ user: 'app', ...parameters })).privileged;
  t.ok(privileged({ role: 'admin' }));
  t.ok(privileged({ Role: 'admin' }));
  t.ok(privileged({ session_preload_libraries: '/tmp/x.so' }));
  t.ok(privileged({ session_replication_role: 'replica' }));
  t.ok(privileged({ options: '-c allow_system_table_mods=on' }));
  for (const options of [
    '-c role=admin',
    '-crole=admin',
    '-c geqo=off --role=admin',
    '-c ro\\le=admin',
    '--session-authorization=admin',
    '-c LOCAL_preload_libraries=x',
  ])
    t.ok(privileged({ options }), options);
  t.notOk(privileged({ options: '-c search_path=role -c geqo=off' }));
  t.notOk(privileged({ application_name: 'role=admin', search_path: 'role' }));
});
