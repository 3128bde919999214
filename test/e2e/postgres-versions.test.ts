/**
 * PostgreSQL 13 to 18, servers and clients of each version that is here (scripts/lib/setup --clients fetches them): what is asked in plain
 * text leaves as verified TLS, asked for by SSLRequest or begun directly; results are masked, statements denied, queries cancelled
 * with keys of either length. Servers' logs, what clients say, and the captures are the judge.
 */
import t, { type Test } from 'tap';
import { wireOf } from '#test/support/pcap.ts';
import { POSTGRES } from '#test/support/postgres.ts';
import { type Agent, type Served, VersionsField } from '#test/support/versions-field.ts';

t.setTimeout(900_000);
const field = await VersionsField.open();
t.teardown(() => field.close());
const { versions, clients, sluice, world } = field;
const [own] = versions.filter(({ withLibpq }) => withLibpq?.length === 0);
if (own === undefined) throw new Error('no PostgreSQL of this host');
for (const missing of field.missing) t.test('a version that is not here', { skip: missing }, async () => {});
/** This host's, and the newest there is. */
const outermost = clients.filter((client) => client === own || client === clients.at(-1));
/** Those with direct TLS; and the one with protocol 3.2. */
const newer = versions.filter(({ major }) => major >= 17);
const newest = field.version(18);
const skip18 = newest === null && (field.missing.at(-1) ?? true);

const NUMBER = '4111 1111 1111 1111';
const MASKED = '**** **** **** 1111';
for (const to of versions) {
  const made = await field.psql(
    null,
    own.bin,
    { to, options: 'sslmode=require' },
    `create table people (id int, note text); create table spare (a int);
     insert into people values (1, 'pays by ${NUMBER}'), (2, 'cash');`,
  );
  if (made.code !== 0) throw new Error(made.stderr);
}
const wire = await world.capture();
const loopback = await world.capture('loopback');

/** Lengths of the keys to cancel with that agents were told in sessions that ask for a protocol version. */
async function keyLengths(minor: number): Promise<number[]> {
  const lengths = new Set<number>();
  for (const { toServer, toClient } of await loopback.conversations()) {
    if (toServer.length < 8 || toServer.readUInt32BE(4) !== 0x30000 + minor) continue;
    for (let at = 0; at + 5 <= toClient.length; at += 1 + toClient.readUInt32BE(at + 1)) {
      const type = String.fromCharCode(toClient[at] ?? 0);
      if (type === 'Z') break;
      if (type === 'K') lengths.add(toClient.readUInt32BE(at + 1) - 8);
    }
  }
  return [...lengths].sort((a, b) => a - b);
}

/** How TLS began in each conversation with a server. */
async function beginnings(to: Served): Promise<Set<string>> {
  return new Set((await wire.conversations(to.port)).map(({ toServer }) => wireOf(toServer)));
}

const HEARD = {
  tls: 't',
  process: 'True',
  simple: `pays by ${MASKED}`,
  text: `pays by ${MASKED}`,
  binary: `pays by ${MASKED}`,
  copy: `pays by ${MASKED}, cash`,
  denied: '42501',
  'denied extended': '42501',
  'goes on': 'yes',
  'still there': 'yes',
};

interface Way {
  readonly agent: Agent;
  readonly client: Served;
  readonly to: Served;
  /** Of the connection string. */
  readonly protocol?: string;
  /** What it is told to be speaking. */
  readonly minor?: number;
}

/** All that the client program tries, its statements under rules and masks. */
async function converse(t: Test, { agent, client, to, protocol = '', minor = 0 }: Way): Promise<void> {
  const options = `sslmode=disable ${protocol}`;
  const { done, said } = await field.libpq(agent, client, { to, options }, 'plain', 'encrypted');
  const encrypted = client.major >= 17 ? { 'cancelled encrypted': '57014' } : {};
  const known = { library: String(client.major), server: String(to.major), protocol: `3000${minor}` };
  t.strictSame(
    said,
    { ...HEARD, ...known, 'cancelled plain': '57014', ...encrypted },
    `${agent}, libpq ${client.major} to ${to.major} ${protocol} ${done.stderr}`,
  );
}

for (const to of versions)
  t.test(`PostgreSQL ${to.major}`, async (t) => {
    for (const client of to.major < 17 ? outermost : clients)
      await converse(t, { agent: 'asked', client, to });
    await to.server.waitForLog(
      /connection authorized: user=app database=shop.*SSL enabled \(protocol=TLSv1\.3/,
    );
    await to.server.waitForLog(/canceling statement due to user request/);
    t.notMatch(to.server.log, /drop table/);
    t.ok((await wire.assertAllTls(to.port)) > 0);
    t.strictSame(await beginnings(to), new Set(['postgres-tls']));
  });

t.test('psql of each version', async (t) => {
  for (const { major, bin } of versions) {
    const to = field.version(major) ?? own;
    const psql = major === 14 || major === 16 ? own.bin : bin;
    const script = "select note from people where id = 1;\ndrop table spare;\nselect 'goes on';\n";
    const { stdout, stderr } = await field.psql('asked', psql, { to }, script);
    t.equal(stdout, `pays by ${MASKED}\ngoes on\n`, stderr);
    t.match(stderr, /42501/);
    const running = field.startPsql('asked', psql, { to }, 'select pg_sleep(121);\n');
    await to.server.waitForLog(/statement: select pg_sleep\(121\)/);
    running.kill('SIGINT');
    t.match(await running.finished, { stderr: /57014/ }, `psql of ${major}`);
  }
});

t.test('protocol 3.2', { skip: skip18 }, async (t) => {
  if (newest === null) return;
  t.strictSame(await keyLengths(0), [4], 'what all have had so far');
  const demanded = 'min_protocol_version=3.2 max_protocol_version=3.2';
  await converse(t, { agent: 'asked', client: newest, to: newest, protocol: demanded, minor: 2 });
  const [bytes = 0, ...more] = await keyLengths(2);
  t.ok(bytes > 4 && more.length === 0, `a key of ${bytes} bytes`);

  // Servers before 18 say that they have 3.0 only, and the client goes on or not as it was told.
  for (const to of versions.filter(({ major }) => major === 15 || major === 17)) {
    await converse(t, { agent: 'asked', client: newest, to, protocol: 'max_protocol_version=3.2' });
    const options = `sslmode=disable ${demanded}`;
    const refused = await field.psql('asked', newest.bin, { to, options }, 'select 1');
    t.match(refused, { code: 2, stderr: /minimum|only supports|protocol version/ }, refused.stderr);
  }
});

t.test('direct TLS begun by Sluice', async (t) => {
  for (const to of versions) {
    const before = (await wire.conversations(to.port)).length;
    if (to.major >= 17) {
      for (const client of outermost) await converse(t, { agent: 'direct', client, to });
      const flow = await sluice.waitForFlow((f) => f.agent === 'direct' && f.dst.port === to.port);
      t.match(flow, { disposition: 'upgraded', tls: { alpn: 'postgresql', server_name: POSTGRES.name } });
    } else {
      const { code, stderr } = await field.psql('direct', own.bin, { to }, 'select 1');
      t.match({ code, stderr }, { code: 2, stderr: /Sluice: / }, `${to.major} does not have it`);
    }
    const since = (await wire.conversations(to.port)).slice(before);
    t.strictSame(new Set(since.map(({ toServer }) => wireOf(toServer))), new Set(['tls']), `${to.major}`);
  }
});

/** Of an agent's own TLS nothing is read: what it gets is what the server says. */
const UNREAD = { tls: 't', binary: `pays by ${NUMBER}`, 'cancelled plain': '57014' };

t.test(
  'direct TLS of the agent itself',
  { skip: newer.length === 0 && field.missing.join('; ') },
  async (t) => {
    for (const client of clients.filter(({ major }) => major >= 17))
      for (const to of newer) {
        const options = `sslmode=verify-full sslnegotiation=direct sslrootcert=${world.pki.ca} channel_binding=require`;
        const { done, said } = await field.libpq('own', client, { to, options }, 'plain', 'encrypted');
        t.match(said, { ...UNREAD, 'cancelled encrypted': '57014' }, done.stderr);
        const flow = await sluice.waitForFlow(
          (f) => f.agent === 'own' && f.dst.port === to.port && f.protocol === 'tls' && f.reason === 'ok',
        );
        t.match(flow, { disposition: 'passthrough', tls: { agent_sni: POSTGRES.name } });
        // Where policy does not let it pass, it is told in TLS.
        const plain = await field.psql('asked', client.bin, { to, options }, 'select 1');
        t.match(plain, { code: 2, stderr: /tlsv1 alert access denied/ }, plain.stderr);
      }
  },
);

t.test('TLS that the agent itself asks for by SSLRequest', async (t) => {
  const verified = `sslmode=verify-full sslrootcert=${world.pki.ca} channel_binding=require`;
  for (const to of versions) {
    const before = (await wire.conversations(to.port)).length;
    for (const client of to.major < 17 ? outermost : clients) {
      const { done, said } = await field.libpq(
        'own',
        client,
        { to, options: verified },
        'plain',
        'encrypted',
      );
      const encrypted = client.major >= 17 ? { 'cancelled encrypted': '57014' } : {};
      const what = `libpq ${client.major} to ${to.major} ${done.stderr}`;
      t.match(said, { ...UNREAD, ...encrypted, 'still there': 'yes' }, what);
    }
    const since = (await wire.conversations(to.port)).slice(before);
    t.strictSame(new Set(since.map(({ toServer }) => wireOf(toServer))), new Set(['postgres-tls']));
    const flow = await sluice.waitForFlow(
      (f) => f.agent === 'own' && f.dst.port === to.port && f.protocol === 'tls' && f.reason === 'ok',
    );
    t.match(flow, { disposition: 'passthrough', tls: { agent_sni: POSTGRES.name } });
  }
  const to = own;
  const tls = 'select ssl from pg_stat_ssl where pid = pg_backend_pid()';
  for (const mode of ['require', 'prefer', 'disable']) {
    const { stdout, stderr } = await field.psql('own', own.bin, { to, options: `sslmode=${mode}` }, tls);
    t.equal(stdout, 't\n', `${mode}: ${stderr}`);
  }
  // To verify the server is the agent's part, and it can.
  const another = await field.psql('own', own.bin, { to, options: `${verified} host=another.test` }, tls);
  t.match(another, { code: 2, stderr: /does not match host name/ }, another.stderr);
  // Where statements are judged and results masked, nobody's own TLS passes.
  const read = await field.psql('asked', own.bin, { to, options: verified }, tls);
  t.match(read, { code: 2, stderr: /server does not support SSL/ }, read.stderr);
  const judged = await field.psql('own-judged', own.bin, { to, options: verified }, tls);
  t.match(judged, { code: 2, stderr: /server does not support SSL/ }, judged.stderr);
  const card = await field.psql(
    'own-judged',
    own.bin,
    { to, options: 'sslmode=prefer' },
    'select note from people',
  );
  t.equal(card.stdout, `pays by ${MASKED}\ncash\n`, card.stderr);
});

t.test('nothing crossed in plain text', async () => {
  await wire.assertNoPlaintext([NUMBER, 'people', POSTGRES.password]);
});
