import t from 'tap';
import { makeCertificates, SERVER_NAME, tlsBy } from '#test/support/certificates.ts';
import { freePort } from '#test/support/listening.ts';
import { startupMessage } from '#test/support/postgres-packets.ts';
import {
  destination,
  endOf,
  ignore,
  plainServer,
  policy,
  readAll,
  readBytes,
  rule,
  TestProxy,
  tlsServer,
} from '../harness.ts';
import { postgresServer } from '../postgres-server.ts';

const certificates = await makeCertificates((remove) => t.teardown(remove));
const tls = tlsBy(certificates);
const shop = policy([destination({ protocol: 'postgres', tls })], [rule()]);

const SSL_REQUEST = Buffer.from('0000000804d2162f', 'hex');
const GSS_REQUEST = Buffer.from('0000000804d21630', 'hex');
const STARTUP = lengthPrefixed(Buffer.from('\0\x03\0\0user\0alice\0database\0shop\0\0', 'latin1'));
const AUTH_OK = message('R', Buffer.from([0, 0, 0, 0]));
const READY = message('Z', Buffer.from('I'));

function lengthPrefixed(body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(4 + body.length);
  return Buffer.concat([length, body]);
}

function message(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type), lengthPrefixed(body)]);
}

function sasl(...mechanisms: string[]): Buffer {
  return message(
    'R',
    Buffer.concat([Buffer.from([0, 0, 0, 10]), Buffer.from(`${mechanisms.join('\0')}\0\0`)]),
  );
}

t.test('a client that speaks plain text gets its session over TLS', async (t) => {
  let first: Buffer = Buffer.alloc(0);
  const server = await postgresServer(t.teardown, certificates.valid, (s) => {
    s.on('data', (chunk: Buffer) => {
      if (first.length === 0) {
        first = chunk;
        s.write(Buffer.concat([AUTH_OK, READY]));
      } else {
        s.end(chunk);
      }
    });
  });
  const proxy = await TestProxy.start(t.teardown, shop);
  const agent = await proxy.agent({ port: server.port });
  agent.write(STARTUP);
  const greeting = Buffer.concat([AUTH_OK, READY]);
  t.same(await readBytes(agent, greeting.length), greeting);
  agent.end('Q-and-whatever-follows');
  t.equal((await readAll(agent)).toString(), 'Q-and-whatever-follows');
  t.same(first, STARTUP, 'the start-up packet as the agent sent it');
  t.match(await proxy.report(), {
    protocol: 'postgres',
    disposition: 'upgraded',
    reason: 'ok',
    tls: { server_name: SERVER_NAME, alpn: null },
    bytes: { agent_to_server: STARTUP.length + 22, server_to_agent: greeting.length + 22 },
  });
  t.same(server.received().subarray(0, 8), SSL_REQUEST, 'TLS is asked for first');
});

t.test('TLS is begun directly where policy says so, with a server that says what it speaks', async (t) => {
  const direct = policy(
    [destination({ protocol: 'postgres', tls: { ...tls, negotiation: 'direct' } })],
    [rule()],
  );
  const asked = async (ALPNProtocols: string[]) => {
    const heard: Buffer[] = [];
    const port = await tlsServer(t.teardown, { ...certificates.valid, ALPNProtocols }, (s) =>
      s.once('data', (chunk: Buffer) => {
        heard.push(chunk);
        s.end(Buffer.concat([AUTH_OK, READY]));
      }),
    );
    const proxy = await TestProxy.start(t.teardown, direct);
    const agent = await proxy.agent({ port });
    agent.end(STARTUP);
    return { answer: await readAll(agent), heard, report: await proxy.report() };
  };
  const willing = await asked(['postgresql']);
  t.same(willing.answer, Buffer.concat([AUTH_OK, READY]));
  t.same(willing.heard, [STARTUP], 'and no request for TLS before it');
  t.match(willing.report, { reason: 'ok', disposition: 'upgraded', tls: { alpn: 'postgresql' } });
  for (const other of [['http/1.1'], []]) {
    const { answer, heard, report } = await asked(other);
    t.match(answer.toString('latin1'), /^E/);
    t.match(report, { reason: 'tls_handshake_failed' });
    t.same(heard, [], 'of the agent it hears nothing');
  }
});

t.test('requests for encryption are refused to the agent and not passed on', async (t) => {
  let first: Buffer = Buffer.alloc(0);
  const server = await postgresServer(t.teardown, certificates.valid, (s) =>
    s.once('data', (chunk: Buffer) => {
      first = chunk;
      s.end(AUTH_OK);
    }),
  );
  const proxy = await TestProxy.start(t.teardown, shop);
  const agent = await proxy.agent({ port: server.port });
  agent.write(GSS_REQUEST);
  t.equal((await readBytes(agent, 1)).toString(), 'N');
  agent.write(SSL_REQUEST);
  t.equal((await readBytes(agent, 1)).toString(), 'N');
  agent.end(STARTUP);
  t.same(await readAll(agent), AUTH_OK);
  t.same(first, STARTUP);
  t.match(await proxy.report(), { reason: 'ok' });
});

t.test('SCRAM with channel binding is taken out of the offer', async (t) => {
  const server = await postgresServer(t.teardown, certificates.valid, (s) =>
    s.once('data', () => s.end(sasl('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'))),
  );
  const proxy = await TestProxy.start(t.teardown, shop);
  const agent = await proxy.agent({ port: server.port });
  agent.end(STARTUP);
  t.same(await readAll(agent), sasl('SCRAM-SHA-256'));
  t.match(await proxy.report(), { reason: 'ok' });
});

t.test(
  'a client that says it could bind to a channel is told, and the server does not hear it',
  async (t) => {
    const heard: Buffer[] = [];
    const server = await postgresServer(t.teardown, certificates.valid, (s) => {
      s.once('data', () => {
        s.on('data', (chunk: Buffer) => {
          heard.push(chunk);
          s.write(Buffer.concat([AUTH_OK, READY]));
        });
        s.on('end', () => s.end());
        s.write(sasl('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'));
      });
    });
    const proxy = await TestProxy.start(t.teardown, shop);
    const reply = async (flag: string) => {
      const agent = await proxy.agent({ port: server.port });
      agent.write(STARTUP);
      await readBytes(agent, sasl('SCRAM-SHA-256').length);
      const said = message('p', Buffer.from(`SCRAM-SHA-256\0\0\0\0\x0d${flag},,n=,r=nonce`, 'latin1'));
      agent.write(said);
      return { agent, said };
    };
    const could = await reply('y');
    t.match(
      (await readBytes(could.agent, 60)).toString('latin1'),
      /^E[\s\S]*C28000\0MSluice: the client could/,
    );
    could.agent.end();
    await readAll(could.agent);
    t.match(await proxy.report(), { reason: 'ok', disposition: 'upgraded' });
    t.same(heard, []);
    const cannot = await reply('n');
    await readBytes(cannot.agent, AUTH_OK.length + READY.length);
    cannot.agent.write('Q, or whatever comes in a session');
    await readBytes(cannot.agent, AUTH_OK.length + READY.length);
    t.same(
      Buffer.concat(heard),
      Buffer.concat([cannot.said, Buffer.from('Q, or whatever comes in a session')]),
    );
    cannot.agent.resetAndDestroy();
    await proxy.report();
  },
);

t.test('a server that breaks the authentication is cut, and the agent told', async (t) => {
  const server = await postgresServer(t.teardown, certificates.valid, (s) =>
    s.once('data', () => s.write(message('D', Buffer.from('row before authentication')))),
  );
  const proxy = await TestProxy.start(t.teardown, shop);
  const agent = await proxy.agent({ port: server.port });
  agent.write(STARTUP);
  const answer = (await readAll(agent)).toString('latin1');
  agent.end();
  t.match(answer, /^E[\s\S]*C08P01\0/);
  t.notMatch(answer, /row before/);
  t.match(await proxy.report(), { reason: 'protocol_error', verdict: 'error' });
});

t.test('replication is refused unless the rule allows it', async (t) => {
  let asked = 0;
  const server = await postgresServer(t.teardown, certificates.valid, (s) =>
    s.once('data', () => {
      asked += 1;
      s.end(AUTH_OK);
    }),
  );
  const refusing = await TestProxy.start(t.teardown, shop);
  for (const value of ['true', 'ON', 'Y', 'ye', '1', 'database']) {
    const agent = await refusing.agent({ port: server.port });
    agent.end(startupMessage({ user: 'alice', replication: value }));
    t.match(
      (await readAll(agent)).toString('latin1'),
      /^E[\s\S]*SFATAL\0[\s\S]*C28000\0[\s\S]*replication/,
      value,
    );
    t.match(await refusing.report(), {
      reason: 'replication_denied',
      verdict: 'deny',
      disposition: 'denied',
    });
  }
  t.equal(server.received().length, 0, 'the server has not been asked');
  const ordinary = await refusing.agent({ port: server.port });
  ordinary.end(startupMessage({ user: 'alice', replication: 'off' }));
  t.same(await readAll(ordinary), AUTH_OK);
  t.match(await refusing.report(), { reason: 'ok' });

  const allowing = await TestProxy.start(t.teardown, { ...shop, rules: [rule({ replication: true })] });
  const agent = await allowing.agent({ port: server.port });
  agent.end(startupMessage({ user: 'alice', replication: 'database' }));
  t.same(await readAll(agent), AUTH_OK);
  t.match(await allowing.report(), { reason: 'ok', rule: 'allow-server' });
  t.equal(asked, 2);
});

t.test('failures are told as ErrorResponse, and nothing of the agent is sent', async (t) => {
  const refuses = await plainServer(t.teardown, (s) => s.once('data', () => s.write('N')));
  const errs = await plainServer(t.teardown, (s) => s.once('data', () => s.write('E\0\0\0\x08oops')));
  const other = await plainServer(t.teardown, (s) => s.once('data', () => s.write('HTTP/1.1 400\r\n')));
  const closes = await plainServer(t.teardown, (s) => s.once('data', () => s.end()));
  const stuffed = await plainServer(t.teardown, (s) =>
    s.once('data', () => s.write(`S${AUTH_OK.toString()}`)),
  );
  const silent = await plainServer(t.teardown, (s) => s.resume());
  const expired = await postgresServer(t.teardown, certificates.expired, ignore);
  const cases = [
    [refuses, 'tls_not_offered', '08001'],
    [errs, 'tls_not_offered', '08001'],
    [other, 'protocol_error', '08P01'],
    [closes, 'tls_not_offered', '08001'],
    [stuffed, 'protocol_error', '08P01'],
    [silent, 'tls_handshake_timeout', '08001'],
    [expired, 'tls_certificate_expired', '08001'],
  ] as const;
  const patient = await TestProxy.start(t.teardown, shop);
  const quick = { ...shop, limits: { ...shop.limits, handshakeTimeoutMs: 200 } };
  const hasty = await TestProxy.start(t.teardown, quick);
  for (const [server, reason, sqlState] of cases) {
    const proxy = reason === 'tls_handshake_timeout' ? hasty : patient;
    const agent = await proxy.agent({ port: server.port });
    agent.write(STARTUP);
    const answer = (await readAll(agent)).toString('latin1');
    agent.end();
    t.match(answer, new RegExp(`^E[\\s\\S]*SFATAL\0[\\s\\S]*C${sqlState}\0`), reason);
    t.match(await proxy.report(), { reason, verdict: 'error', disposition: 'denied' });
    t.notMatch(
      server.received().toString('latin1'),
      /alice|shop/,
      `${reason}: the agent's packet stayed here`,
    );
  }
  const agent = await patient.agent({ port: await freePort() });
  agent.end(STARTUP);
  t.match((await readAll(agent)).toString('latin1'), /C08001\0/);
  t.match(await patient.report(), { reason: 'connect_refused' });
});

t.test('a reset of the agent reaches the server as a reset', async (t) => {
  const ends: Promise<string>[] = [];
  const server = await postgresServer(t.teardown, certificates.valid, (s) => {
    ends.push(endOf(s));
    s.once('data', () => s.write(AUTH_OK));
  });
  const proxy = await TestProxy.start(t.teardown, shop);
  const agent = await proxy.agent({ port: server.port });
  agent.write(STARTUP);
  await readBytes(agent, AUTH_OK.length);
  agent.resetAndDestroy();
  t.same(await Promise.all(ends), ['ECONNRESET']);
  t.match(await proxy.report(), { reason: 'agent_reset', verdict: 'allow' });
});
